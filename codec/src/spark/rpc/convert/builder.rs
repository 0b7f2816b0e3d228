//! Makes objects with the class descriptors of a profile.

use std::collections::HashMap;

use super::reader::MODULE_PROXY;
use super::{ConvertError, ConvertErrorKind};
use crate::java::{
    Class, Content, Field, FieldValue, Flags, Level, Node, NodeId, Object, Profile, ProfileClass,
    ProfileField, Text, Tree, Value,
};
use crate::spark::rpc::profiles::{accepts, accepts_class};

/// A tree in the making, for a peer of one version. Each class and each text is there once.
#[derive(Debug)]
pub struct Builder<'p> {
    profile: &'p Profile,
    tree: Tree,
    classes: HashMap<String, NodeId>,
    texts: HashMap<String, NodeId>,
    modules: HashMap<String, NodeId>,
    constants: HashMap<(&'static str, &'static str), NodeId>,
}

impl<'p> Builder<'p> {
    /// A builder of objects for a peer with these classes.
    pub fn new(profile: &'p Profile) -> Self {
        Self {
            profile,
            tree: Tree::new(),
            classes: HashMap::new(),
            texts: HashMap::new(),
            modules: HashMap::new(),
            constants: HashMap::new(),
        }
    }

    /// The tree, without anything at its top.
    pub fn into_tree(self) -> Tree {
        self.tree
    }

    /// Whether the peer has Scala 2.13, which writes objects and collections in forms of its own.
    pub(in crate::spark::rpc) fn is_scala_2_13(&self) -> bool {
        self.profile.property("scala") == Some("2.13")
    }

    /// Whether the peer has all classes of a tree, as far as the profile knows them.
    pub(in crate::spark::rpc) fn accepts(&self, tree: &Tree) -> bool {
        accepts(self.profile, tree)
    }

    /// Whether the peer has this class, or the profile does not know it.
    pub(in crate::spark::rpc) fn accepts_class(&self, class: &Class) -> bool {
        accepts_class(self.profile, class)
    }

    /// Copies a value of another tree into this one, if all its classes are accepted.
    pub(in crate::spark::rpc) fn graft_if(
        &mut self,
        from: &Tree,
        value: Value,
        accept: impl Fn(&Self, &Class) -> bool,
    ) -> Option<Value> {
        let before = self.tree.len();
        let copy = self.tree.graft(from, value);
        let accepted = self.tree.nodes().skip(before).all(|node| match node {
            Node::Class(class) => accept(self, class),
            _ => true,
        });
        if !accepted {
            self.tree.truncate(before);
            return None;
        }
        Some(copy)
    }

    /// A constant of an `enum`, of which there is one.
    pub(in crate::spark::rpc) fn constant(
        &mut self,
        class: &'static str,
        name: &'static str,
    ) -> Result<NodeId, ConvertError> {
        if let Some(id) = self.constants.get(&(class, name)) {
            return Ok(*id);
        }
        let described = self.class(class)?;
        // Its name is a text of its own: Java takes no reference in its place.
        let text = self.tree.add_text(name);
        let id = self.tree.add(Node::Enum {
            class: described,
            name: text,
        });
        self.constants.insert((class, name), id);
        Ok(id)
    }

    pub(super) fn graft(&mut self, from: &Tree, value: Value) -> Value {
        self.tree.graft(from, value)
    }

    pub(in crate::spark::rpc) fn add(&mut self, node: Node) -> NodeId {
        self.tree.add(node)
    }

    /// A text.
    pub(in crate::spark::rpc) fn text(&mut self, text: &str) -> NodeId {
        if let Some(id) = self.texts.get(text) {
            return *id;
        }
        let id = self.tree.add(Node::Text(Text::from(text)));
        self.texts.insert(text.to_owned(), id);
        id
    }

    /// The descriptor of a class.
    pub(in crate::spark::rpc) fn class(&mut self, name: &str) -> Result<NodeId, ConvertError> {
        if let Some(id) = self.classes.get(name) {
            return Ok(*id);
        }
        let class = self.described(name)?;
        let super_class = match &class.super_class {
            Some(name) => Some(self.class(name)?),
            None => None,
        };
        let fields = self.fields(class);
        let id = self.tree.add(Node::Class(Box::new(Class {
            name: Text::from(name),
            suid: class.suid,
            flags: class.flags,
            fields,
            annotation: Vec::new(),
            super_class,
        })));
        self.classes.insert(name.to_owned(), id);
        Ok(id)
    }

    /// The names of a class's own fields.
    pub(in crate::spark::rpc) fn field_names(
        &self,
        class: &str,
    ) -> Result<Vec<&'p str>, ConvertError> {
        let fields = self.described(class)?.fields.iter();
        Ok(fields.map(|field| field.name.as_str()).collect())
    }

    fn described(&self, name: &str) -> Result<&'p ProfileClass, ConvertError> {
        let missing = || ConvertErrorKind::NoClass {
            class: name.to_owned(),
            version: self.version(),
        };
        Ok(self.profile.class(name).ok_or_else(missing)?)
    }

    fn version(&self) -> String {
        self.profile
            .property("name")
            .unwrap_or("unnamed")
            .to_owned()
    }

    fn fields(&mut self, class: &ProfileClass) -> Vec<Field> {
        let field = class.fields.iter().map(|field| Field {
            kind: field.kind,
            name: Text::from(field.name.as_str()),
            type_name: field.type_name.as_deref().map(|name| self.text(name)),
        });
        field.collect()
    }

    /// An object with these fields. Those that are not given are null or 0.
    pub(in crate::spark::rpc) fn object(
        &mut self,
        class: &str,
        fields: &[(&str, FieldValue)],
    ) -> Result<NodeId, ConvertError> {
        self.object_with(class, fields, Vec::new())
    }

    /// An object with these fields and this annotation of its own class.
    pub(in crate::spark::rpc) fn object_with(
        &mut self,
        class: &str,
        fields: &[(&str, FieldValue)],
        annotation: Vec<Content>,
    ) -> Result<NodeId, ConvertError> {
        let described = self.described(class)?;
        let line = self.profile.line(described);
        // A field that is left out is null for the reader: null need not be written.
        let has = |(name, value): &(&str, FieldValue)| {
            let mut fields = line.iter().flat_map(|class| &class.fields);
            *value == FieldValue::Reference(None)
                || fields.any(|field| field.name == *name && value.fits(field.kind))
        };
        if let Some((name, _)) = fields.iter().find(|field| !has(field)) {
            return Err(self.no_field(described, name));
        }
        let mut levels: Vec<Level> = line.iter().map(|class| level(class, fields)).collect();
        if let Some(own) = levels.last_mut() {
            own.annotation = annotation;
        }
        let class = self.class(class)?;
        Ok(self.tree.add(Node::Object(Object { class, levels })))
    }

    #[cold]
    fn no_field(&self, class: &ProfileClass, field: &str) -> ConvertError {
        let kind = ConvertErrorKind::NoField {
            class: class.name.clone(),
            field: field.to_owned(),
            version: self.version(),
        };
        kind.into()
    }

    /// A Scala object, of which there is one: as itself for 2.12, as its proxy for 2.13.
    pub(in crate::spark::rpc) fn module(&mut self, name: &str) -> Result<NodeId, ConvertError> {
        if let Some(id) = self.modules.get(name) {
            return Ok(*id);
        }
        let id = if self.is_scala_2_13() {
            let class = self.class(name)?;
            let class = self.tree.add(Node::ClassObject { class });
            let field = FieldValue::Reference(Some(class));
            self.object(MODULE_PROXY, &[("moduleClass", field)])?
        } else {
            self.bare_module(name)?
        };
        self.modules.insert(name.to_owned(), id);
        Ok(id)
    }

    /// A Scala object as itself. The fields of an enumeration form a circle, and Java takes the object without
    /// them: it has its own in place of it.
    fn bare_module(&mut self, name: &str) -> Result<NodeId, ConvertError> {
        let described = self.described(name)?;
        let line = self.profile.line(described);
        if line.iter().all(|class| class.fields.is_empty()) {
            return self.object(name, &[]);
        }
        let class = self.tree.add(Node::Class(Box::new(Class {
            name: Text::from(name),
            suid: described.suid,
            flags: Flags(Flags::SERIALIZABLE),
            fields: Vec::new(),
            annotation: Vec::new(),
            super_class: None,
        })));
        let levels = vec![Level::default()];
        Ok(self.tree.add(Node::Object(Object { class, levels })))
    }
}

/// The data of one class in an object's line.
fn level(class: &ProfileClass, fields: &[(&str, FieldValue)]) -> Level {
    let value = |field: &ProfileField| {
        let given = fields.iter().find(|(name, _)| *name == field.name);
        match given {
            Some((_, value)) if value.fits(field.kind) => *value,
            _ => FieldValue::default_of(field.kind),
        }
    };
    Level {
        fields: class.fields.iter().map(value).collect(),
        annotation: Vec::new(),
    }
}
