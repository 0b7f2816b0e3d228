//! Class descriptors.

use super::Reader;
use crate::java::limits::{MAX_FIELDS, MAX_SUPERS};
use crate::java::{
    Class, Field, FieldKind, Flags, Node, NodeId, Proxy, ReadError, ReadErrorKind, Text, Value,
    code,
};

impl Reader<'_> {
    /// A class descriptor, a reference to one, or null.
    pub(super) fn class_desc(&mut self) -> Result<Value, ReadError> {
        match self.cursor.u8()? {
            code::NULL => Ok(None),
            code::REFERENCE => {
                let (handle, id) = self.reference()?;
                if matches!(self.tree.node(id), Node::Class(_) | Node::Proxy(_)) {
                    return Ok(Some(id));
                }
                let expected = "a class";
                Err(self
                    .cursor
                    .error(ReadErrorKind::WrongHandle { handle, expected }))
            }
            code @ (code::CLASS_DESC | code::PROXY_CLASS_DESC) => {
                self.deeper(|reader| reader.nested(code)).map(Some)
            }
            code => Err(self.code(code, "a class")),
        }
    }

    /// The class of an object, which cannot be null.
    pub(super) fn own_class(&mut self) -> Result<NodeId, ReadError> {
        match self.class_desc()? {
            Some(id) => Ok(id),
            None => Err(self.code(code::NULL, "the class of an object")),
        }
    }

    pub(super) fn class(&mut self) -> Result<NodeId, ReadError> {
        let name = self.cursor.utf()?;
        let suid = self.cursor.i64()?;
        let handle = self.reserve();
        let flags = Flags(self.cursor.u8()?);
        flags
            .check()
            .map_err(|what| self.class_error(&name, what))?;
        let fields = self.fields(&name)?;
        let annotation = self.annotation()?;
        let super_class = self.class_desc()?;
        if let Some(proxy) = super_class
            && self.tree.class(proxy).is_none()
        {
            return Err(self.class_error(&name, "its superclass is a proxy"));
        }
        let id = self.add(Node::Class(Box::new(Class {
            name,
            suid,
            flags,
            fields,
            annotation,
            super_class,
        })))?;
        self.complete(handle, id)
    }

    pub(super) fn proxy(&mut self) -> Result<NodeId, ReadError> {
        let handle = self.reserve();
        let count = self.cursor.len()?;
        self.allow(MAX_FIELDS, count, usize::from(self.limits.max_fields))?;
        let mut interfaces = Vec::new();
        for _ in 0..count {
            interfaces.push(self.cursor.utf()?);
        }
        let annotation = self.annotation()?;
        let super_class = self.class_desc()?;
        let id = self.add(Node::Proxy(Box::new(Proxy {
            interfaces,
            annotation,
            super_class,
        })))?;
        self.complete(handle, id)
    }

    /// A handle for a class that is being read.
    fn reserve(&mut self) -> usize {
        self.handles.push(None);
        self.handles.len() - 1
    }

    /// Gives the handle to the class, whose line of superclasses is now known.
    fn complete(&mut self, handle: usize, class: NodeId) -> Result<NodeId, ReadError> {
        let max = self.limits.max_supers;
        if self.tree.line(class, max).is_none() {
            self.allow(MAX_SUPERS, max as usize + 1, max as usize)?;
        }
        self.handles[handle] = Some(class);
        Ok(class)
    }

    fn fields(&mut self, class: &Text) -> Result<Vec<Field>, ReadError> {
        let count = usize::from(self.cursor.u16()?);
        self.allow(MAX_FIELDS, count, usize::from(self.limits.max_fields))?;
        let mut fields: Vec<Field> = Vec::new();
        for _ in 0..count {
            let code = self.cursor.u8()?;
            let Some(kind) = FieldKind::of_code(code) else {
                return Err(self.code(code, "the type of a field"));
            };
            let name = self.cursor.utf()?;
            let type_name = match kind.width() {
                Some(_) => None,
                None => Some(self.any_text()?),
            };
            let after_reference = fields.last().is_some_and(|last| last.type_name.is_some());
            if after_reference && type_name.is_none() {
                return Err(self.class_error(class, "a primitive field behind a reference"));
            }
            fields.push(Field {
                kind,
                name,
                type_name,
            });
        }
        Ok(fields)
    }
}
