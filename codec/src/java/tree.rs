//! The tree: an arena of nodes, and what stands at the top of its stream.

use super::{
    Class, Content, Elements, Field, FieldValue, Item, Limits, Node, NodeId, Object, ReadError,
    Text, Value, WriteError, read, write,
};

/// The objects of one stream, or of one that is to be written.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    items: Vec<Item>,
}

impl Tree {
    /// A tree without nodes.
    pub const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            items: Vec::new(),
        }
    }

    /// Reads a whole stream, its header included.
    ///
    /// # Errors
    /// [`ReadError`] with the place and the violated rule or limit.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, ReadError> {
        read::stream(bytes, limits)
    }

    /// Appends the stream to `out`, its header included, in the form that Java gives it. On an error, `out`
    /// is as it was.
    ///
    /// # Errors
    /// [`WriteError`] if the tree is beyond a limit or its nodes do not fit together. A tree that was read
    /// can be written with the same limits.
    pub fn write(&self, limits: &Limits, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let start = out.len();
        let written = write::stream(self, limits, out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    /// The items at the top of the stream, in order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The object of a stream that consists of exactly one, as every message of Spark does.
    pub fn object(&self) -> Option<Value> {
        match self.items[..] {
            [Item::Content(Content::Value(value))] => Some(value),
            _ => None,
        }
    }

    /// Appends an item at the top of the stream.
    pub fn push(&mut self, item: Item) {
        self.items.push(item);
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// A node.
    ///
    /// # Panics
    /// If `id` is of another, bigger tree.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// A node, or `None` if `id` is of another tree.
    pub(super) fn get(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.index())
    }

    /// A node that may be changed.
    ///
    /// # Panics
    /// If `id` is of another, bigger tree.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// Adds a node.
    pub fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId::at(self.nodes.len());
        self.nodes.push(node);
        id
    }

    /// Forgets the nodes from the one with this number on. Nothing may refer to them.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.nodes.truncate(len);
    }

    /// Adds a text.
    pub fn add_text(&mut self, text: &str) -> NodeId {
        self.add(Node::Text(Text::from(text)))
    }

    /// The text that a value is.
    pub fn text(&self, value: Value) -> Option<&Text> {
        match self.node(value?) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The object that a value is.
    pub fn as_object(&self, value: Value) -> Option<&Object> {
        match self.node(value?) {
            Node::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The class that a node is.
    pub fn class(&self, id: NodeId) -> Option<&Class> {
        match self.get(id)? {
            Node::Class(class) => Some(class),
            _ => None,
        }
    }

    /// The class descriptor of an object, array, enum constant or `Class`.
    pub fn class_of(&self, value: Value) -> Option<&Class> {
        match self.node(value?) {
            Node::Object(object) => self.class(object.class),
            Node::Array(array) => self.class(array.class),
            Node::Enum { class, .. } | Node::ClassObject { class } => self.class(*class),
            _ => None,
        }
    }

    /// The superclass of a class or proxy.
    fn super_of(&self, class: NodeId) -> Option<NodeId> {
        match self.get(class)? {
            Node::Class(class) => class.super_class,
            Node::Proxy(proxy) => proxy.super_class,
            _ => None,
        }
    }

    /// A class and its superclasses, the topmost first; `None` if there are more than `max`, as in a circle.
    pub(super) fn line(&self, class: NodeId, max: u32) -> Option<Vec<NodeId>> {
        let mut line = vec![class];
        let mut next = self.super_of(class);
        while let Some(class) = next {
            if line.len() > max as usize {
                return None;
            }
            line.push(class);
            next = self.super_of(class);
        }
        line.reverse();
        Some(line)
    }

    /// The value of an object's field: of its own class, or else of the nearest superclass that has one of
    /// this name.
    pub fn field(&self, object: &Object, name: &str) -> Option<FieldValue> {
        let mut class = Some(object.class);
        for level in object.levels.iter().rev() {
            let id = class?;
            if let Some(described) = self.class(id) {
                let mut fields = described.fields.iter().zip(&level.fields);
                if let Some((_, value)) = fields.find(|(field, _)| field.name.is(name)) {
                    return Some(*value);
                }
            }
            class = self.super_of(id);
        }
        None
    }

    /// The annotation that an object's own class wrote.
    pub fn annotation<'a>(&self, object: &'a Object) -> &'a [Content] {
        object.levels.last().map_or(&[], |level| &level.annotation)
    }

    /// Calls `visit` with every reference of a node that leads to another.
    pub(super) fn references(node: &mut Node, visit: &mut impl FnMut(&mut NodeId)) {
        match node {
            Node::Class(class) => {
                each_type(&mut class.fields, visit);
                each_content(&mut class.annotation, visit);
                class.super_class.iter_mut().for_each(visit);
            }
            Node::Proxy(proxy) => {
                each_content(&mut proxy.annotation, visit);
                proxy.super_class.iter_mut().for_each(visit);
            }
            Node::Text(_) => {}
            Node::Object(object) => {
                visit(&mut object.class);
                for level in &mut object.levels {
                    each_field(&mut level.fields, visit);
                    each_content(&mut level.annotation, visit);
                }
            }
            Node::Array(array) => {
                visit(&mut array.class);
                if let Elements::References(values) = &mut array.elements {
                    values.iter_mut().flatten().for_each(visit);
                }
            }
            Node::Enum { class, name } => {
                visit(class);
                visit(name);
            }
            Node::ClassObject { class } => visit(class),
        }
    }
}

fn each_type(fields: &mut [Field], visit: &mut impl FnMut(&mut NodeId)) {
    for field in fields {
        field.type_name.iter_mut().for_each(&mut *visit);
    }
}

fn each_field(fields: &mut [FieldValue], visit: &mut impl FnMut(&mut NodeId)) {
    for field in fields {
        if let FieldValue::Reference(Some(id)) = field {
            visit(id);
        }
    }
}

fn each_content(contents: &mut [Content], visit: &mut impl FnMut(&mut NodeId)) {
    for content in contents {
        if let Content::Value(Some(id)) = content {
            visit(id);
        }
    }
}
