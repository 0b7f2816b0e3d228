//! Reads a stream into a tree.
//!
//! The reader recurses along what nests in the stream, to a limited depth; a back reference is looked up in
//! the table of handles and never followed. A handle of a class is empty until its descriptor is complete:
//! so no class is its own superclass.

mod class;
mod cursor;
mod object;

pub(super) use object::element_kind;

use super::limits::{MAX_DEPTH, MAX_LEN, MAX_NODES, MAX_TEXT_LEN};
use super::{
    Content, FIRST_HANDLE, HEADER, Item, Limits, Node, NodeId, ReadError, ReadErrorKind, Text,
    Tree, Value, code,
};
use cursor::Cursor;

pub(super) fn stream(bytes: &[u8], limits: &Limits) -> Result<Tree, ReadError> {
    let mut reader = Reader {
        cursor: Cursor::new(bytes),
        limits,
        tree: Tree::new(),
        handles: Vec::new(),
        depth: 0,
        parts: 0,
    };
    reader.allow(MAX_LEN, bytes.len(), limits.max_len)?;
    let found = reader.cursor.u32()?;
    if found != HEADER {
        return Err(reader.cursor.error(ReadErrorKind::NoStream { found }));
    }
    while reader.cursor.left() > 0 {
        reader.count_part()?;
        let item = reader.item()?;
        reader.tree.push(item);
    }
    Ok(reader.tree)
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    limits: &'a Limits,
    tree: Tree,
    /// The items that have a handle, in order; `None` for a class whose descriptor is not complete.
    handles: Vec<Option<NodeId>>,
    depth: u32,
    /// Nodes, parts of annotations, and classes of objects: all that takes memory.
    parts: usize,
}

impl Reader<'_> {
    /// The items at the top.
    fn item(&mut self) -> Result<Item, ReadError> {
        Ok(match self.cursor.u8()? {
            code::RESET => {
                self.handles.clear();
                Item::Reset
            }
            code::EXCEPTION => Item::Exception(self.exception()?),
            code => Item::Content(self.content(code)?),
        })
    }

    /// A block or an object that begins with `code`.
    fn content(&mut self, code: u8) -> Result<Content, ReadError> {
        let len = match code {
            code::BLOCK => usize::from(self.cursor.u8()?),
            code::LONG_BLOCK => self.cursor.len()?,
            _ => return self.value(code).map(Content::Value),
        };
        Ok(Content::Block(self.cursor.take(len)?.into()))
    }

    /// Objects and blocks up to the end mark.
    fn annotation(&mut self) -> Result<Vec<Content>, ReadError> {
        let mut contents = Vec::new();
        loop {
            match self.cursor.u8()? {
                code::END => return Ok(contents),
                code => {
                    self.count_part()?;
                    contents.push(self.content(code)?);
                }
            }
        }
    }

    fn next_value(&mut self) -> Result<Value, ReadError> {
        let code = self.cursor.u8()?;
        self.value(code)
    }

    /// The object that begins with `code`.
    fn value(&mut self, code: u8) -> Result<Value, ReadError> {
        match code {
            code::NULL => Ok(None),
            code::REFERENCE => self.reference().map(|(_, id)| Some(id)),
            code::STRING | code::LONG_STRING => self.text(code).map(Some),
            code::EXCEPTION => Err(self.aborted()),
            _ => self.deeper(|reader| reader.nested(code)).map(Some),
        }
    }

    /// An object that can hold others.
    fn nested(&mut self, code: u8) -> Result<NodeId, ReadError> {
        match code {
            code::CLASS_DESC => self.class(),
            code::PROXY_CLASS_DESC => self.proxy(),
            code::OBJECT => self.object(),
            code::ARRAY => self.array(),
            code::CLASS => self.class_object(),
            code::ENUM => self.constant(),
            _ => Err(self.code(code, "an object")),
        }
    }

    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        self.depth += 1;
        self.allow(
            MAX_DEPTH,
            self.depth as usize,
            self.limits.max_depth as usize,
        )?;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// The node behind a handle.
    fn reference(&mut self) -> Result<(u32, NodeId), ReadError> {
        let handle = self.cursor.u32()?;
        let index = handle.wrapping_sub(FIRST_HANDLE) as usize;
        match self.handles.get(index) {
            Some(Some(id)) => Ok((handle, *id)),
            _ => Err(self.cursor.error(ReadErrorKind::NoHandle { handle })),
        }
    }

    /// A text that begins with `code`; it gets a handle.
    fn text(&mut self, code: u8) -> Result<NodeId, ReadError> {
        let len = if code == code::STRING {
            usize::from(self.cursor.u16()?)
        } else {
            let len = self.cursor.i64()?;
            usize::try_from(len).unwrap_or(usize::MAX)
        };
        self.allow(MAX_TEXT_LEN, len, self.limits.max_text_len)?;
        let text = self.cursor.text(len)?;
        let id = self.add(Node::Text(text))?;
        self.handles.push(Some(id));
        Ok(id)
    }

    /// A text that Java writes in full wherever it stands.
    fn own_text(&mut self) -> Result<NodeId, ReadError> {
        match self.cursor.u8()? {
            code @ (code::STRING | code::LONG_STRING) => self.text(code),
            code => Err(self.code(code, "the name of a constant")),
        }
    }

    /// A text or a reference to one.
    fn any_text(&mut self) -> Result<NodeId, ReadError> {
        match self.cursor.u8()? {
            code::REFERENCE => {
                let (handle, id) = self.reference()?;
                if matches!(self.tree.node(id), Node::Text(_)) {
                    return Ok(id);
                }
                let expected = "a text";
                Err(self
                    .cursor
                    .error(ReadErrorKind::WrongHandle { handle, expected }))
            }
            code @ (code::STRING | code::LONG_STRING) => self.text(code),
            code => Err(self.code(code, "a text")),
        }
    }

    /// The exception that ended the writing: handles begin again before it and behind it.
    fn exception(&mut self) -> Result<Value, ReadError> {
        self.handles.clear();
        let exception = self.next_value();
        self.handles.clear();
        exception
    }

    /// The error of an object that its writer did not finish.
    #[cold]
    fn aborted(&mut self) -> ReadError {
        let exception = match self.deeper(Self::exception) {
            Ok(exception) => exception,
            Err(error) => return error,
        };
        let class = self.tree.class_of(exception);
        let message = self.tree.as_object(exception).and_then(|object| {
            match self.tree.field(object, "detailMessage") {
                Some(super::FieldValue::Reference(text)) => self.tree.text(text),
                _ => None,
            }
        });
        let shown = |text: Option<&Text>| text.map(Text::to_string).unwrap_or_default();
        self.cursor.error(ReadErrorKind::Aborted {
            class: shown(class.map(|class| &class.name)),
            message: shown(message),
        })
    }

    fn add(&mut self, node: Node) -> Result<NodeId, ReadError> {
        self.count_part()?;
        Ok(self.tree.add(node))
    }

    /// Counts a node or another part.
    fn count_part(&mut self) -> Result<(), ReadError> {
        self.parts += 1;
        self.allow(MAX_NODES, self.parts, self.limits.max_nodes as usize)
    }

    fn allow(&self, name: &'static str, value: usize, limit: usize) -> Result<(), ReadError> {
        self.cursor.check(Limits::allow_read(name, value, limit))
    }

    #[cold]
    fn code(&self, code: u8, expected: &'static str) -> ReadError {
        self.cursor.error(ReadErrorKind::Code { code, expected })
    }

    #[cold]
    fn class_error(&self, name: &Text, what: &'static str) -> ReadError {
        let class = name.to_string();
        self.cursor.error(ReadErrorKind::Class { class, what })
    }
}
