//! Writes a tree as a stream, in Java's own form.
//!
//! The first reference to a node writes it, every further one writes its handle. So the stream's length is
//! bounded by the tree's, cycles or not.

mod class;
mod object;

use super::limits::{MAX_DEPTH, MAX_LEN, MAX_TEXT_LEN};
use super::{
    Content, FIRST_HANDLE, HEADER, Item, Limits, Node, NodeId, Text, Tree, Value, WriteError, code,
};

pub(super) fn stream(tree: &Tree, limits: &Limits, out: &mut Vec<u8>) -> Result<(), WriteError> {
    let start = out.len();
    out.extend(HEADER.to_be_bytes());
    let mut writer = Writer {
        tree,
        limits,
        out,
        handles: vec![0; tree.len()],
        next_handle: FIRST_HANDLE,
        depth: 0,
    };
    for item in tree.items() {
        writer.item(item)?;
        let len = writer.out.len() - start;
        Limits::allow_write(MAX_LEN, len, limits.max_len)?;
    }
    Ok(())
}

struct Writer<'a> {
    tree: &'a Tree,
    limits: &'a Limits,
    out: &'a mut Vec<u8>,
    /// The handle of each node, 0 for those not written.
    handles: Vec<u32>,
    next_handle: u32,
    depth: u32,
}

impl<'a> Writer<'a> {
    fn item(&mut self, item: &Item) -> Result<(), WriteError> {
        match item {
            Item::Content(content) => self.content(content),
            Item::Exception(value) => {
                self.out.push(code::EXCEPTION);
                self.reset();
                self.value(*value)?;
                self.reset();
                Ok(())
            }
            Item::Reset => {
                self.out.push(code::RESET);
                self.reset();
                Ok(())
            }
        }
    }

    fn reset(&mut self) {
        self.handles.fill(0);
        self.next_handle = FIRST_HANDLE;
    }

    fn content(&mut self, content: &Content) -> Result<(), WriteError> {
        match content {
            Content::Value(value) => self.value(*value),
            Content::Block(bytes) => self.block(bytes),
        }
    }

    fn block(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        if let Ok(len) = u8::try_from(bytes.len()) {
            self.out.extend([code::BLOCK, len]);
        } else {
            self.out.push(code::LONG_BLOCK);
            self.len(bytes.len())?;
        }
        self.out.extend(bytes);
        Ok(())
    }

    fn annotation(&mut self, contents: &[Content]) -> Result<(), WriteError> {
        for content in contents {
            self.content(content)?;
        }
        self.out.push(code::END);
        Ok(())
    }

    fn value(&mut self, value: Value) -> Result<(), WriteError> {
        match value {
            None => {
                self.out.push(code::NULL);
                Ok(())
            }
            Some(id) => self.node(id),
        }
    }

    /// A node, or its handle if it was written before.
    fn node(&mut self, id: NodeId) -> Result<(), WriteError> {
        let tree = self.tree;
        let Some(node) = tree.get(id) else {
            return Err(WriteError::WrongNode {
                expected: "of this tree",
            });
        };
        if self.is_written(id) {
            self.out.push(code::REFERENCE);
            self.out.extend(self.handles[id.index()].to_be_bytes());
            return Ok(());
        }
        if let Node::Text(text) = node {
            return self.text(id, text);
        }
        self.depth += 1;
        Limits::allow_write(
            MAX_DEPTH,
            self.depth as usize,
            self.limits.max_depth as usize,
        )?;
        let written = match node {
            Node::Class(class) => self.class(id, class),
            Node::Proxy(proxy) => self.proxy(id, proxy),
            Node::Text(_) => Ok(()),
            Node::Object(object) => self.object(id, object),
            Node::Array(array) => self.array(id, array),
            Node::Enum { class, name } => self.constant(id, *class, *name),
            Node::ClassObject { class } => {
                self.out.push(code::CLASS);
                self.class_desc(Some(*class))?;
                self.give_handle(id);
                Ok(())
            }
        };
        self.depth -= 1;
        written
    }

    fn is_written(&self, id: NodeId) -> bool {
        let handle = self.handles.get(id.index());
        handle.is_some_and(|handle| *handle != 0)
    }

    fn give_handle(&mut self, id: NodeId) {
        self.handles[id.index()] = self.next_handle;
        self.next_handle += 1;
    }

    fn text(&mut self, id: NodeId, text: &Text) -> Result<(), WriteError> {
        let bytes = text.as_bytes();
        Limits::allow_write(MAX_TEXT_LEN, bytes.len(), self.limits.max_text_len)?;
        self.give_handle(id);
        if let Ok(len) = u16::try_from(bytes.len()) {
            self.out.push(code::STRING);
            self.out.extend(len.to_be_bytes());
        } else {
            self.out.push(code::LONG_STRING);
            self.out.extend((bytes.len() as u64).to_be_bytes());
        }
        self.out.extend(bytes);
        Ok(())
    }

    /// A node that must be a text.
    fn text_node(&mut self, id: NodeId) -> Result<(), WriteError> {
        match self.tree.get(id) {
            Some(Node::Text(_)) => self.node(id),
            _ => Err(WriteError::WrongNode { expected: "a text" }),
        }
    }

    /// A name behind its length of two bytes.
    fn utf(&mut self, name: &Text) -> Result<(), WriteError> {
        let bytes = name.as_bytes();
        let len =
            u16::try_from(bytes.len()).map_err(|_| WriteError::NameTooLong { len: bytes.len() })?;
        self.out.extend(len.to_be_bytes());
        self.out.extend(bytes);
        Ok(())
    }

    /// A length or count of 32 bits, which Java takes as signed.
    fn len(&mut self, len: usize) -> Result<(), WriteError> {
        let len = i32::try_from(len).map_err(|_| WriteError::BeyondLimit {
            name: MAX_LEN,
            value: len,
            limit: self.limits.max_len,
        })?;
        self.out.extend(len.to_be_bytes());
        Ok(())
    }

    #[cold]
    fn misfit(&self, class: NodeId, what: &'static str) -> WriteError {
        let class = match self.tree.class(class) {
            Some(class) => class.name.to_string(),
            None => "a proxy".to_owned(),
        };
        WriteError::Misfit { class, what }
    }
}
