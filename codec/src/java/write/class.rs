//! Class descriptors.

use super::Writer;
use crate::java::limits::{MAX_FIELDS, MAX_SUPERS};
use crate::java::{Class, Field, Limits, Node, NodeId, Proxy, Value, WriteError, code};

impl Writer<'_> {
    /// A class descriptor, its handle, or null.
    pub(super) fn class_desc(&mut self, class: Value) -> Result<(), WriteError> {
        let node = class.map(|id| self.tree.get(id));
        match node {
            None | Some(Some(Node::Class(_) | Node::Proxy(_))) => self.value(class),
            _ => Err(WriteError::WrongNode {
                expected: "a class",
            }),
        }
    }

    pub(super) fn class(&mut self, id: NodeId, class: &Class) -> Result<(), WriteError> {
        class.flags.check().map_err(|what| self.misfit(id, what))?;
        self.check_supers(id)?;
        self.out.push(code::CLASS_DESC);
        self.utf(&class.name)?;
        self.out.extend(class.suid.to_be_bytes());
        self.give_handle(id);
        self.out.push(class.flags.0);
        self.fields(id, &class.fields)?;
        self.annotation(&class.annotation)?;
        if let Some(proxy) = class.super_class
            && self.tree.class(proxy).is_none()
        {
            return Err(self.misfit(id, "its superclass is a proxy"));
        }
        self.class_desc(class.super_class)
    }

    pub(super) fn proxy(&mut self, id: NodeId, proxy: &Proxy) -> Result<(), WriteError> {
        self.check_supers(id)?;
        self.out.push(code::PROXY_CLASS_DESC);
        self.give_handle(id);
        let limit = usize::from(self.limits.max_fields);
        Limits::allow_write(MAX_FIELDS, proxy.interfaces.len(), limit)?;
        self.len(proxy.interfaces.len())?;
        for name in &proxy.interfaces {
            self.utf(name)?;
        }
        self.annotation(&proxy.annotation)?;
        self.class_desc(proxy.super_class)
    }

    /// Refuses a line of superclasses that is too long, or a circle.
    fn check_supers(&self, class: NodeId) -> Result<(), WriteError> {
        let max = self.limits.max_supers;
        if self.tree.line(class, max).is_none() {
            Limits::allow_write(MAX_SUPERS, max as usize + 1, max as usize)?;
        }
        Ok(())
    }

    fn fields(&mut self, class: NodeId, fields: &[Field]) -> Result<(), WriteError> {
        let limit = usize::from(self.limits.max_fields);
        Limits::allow_write(MAX_FIELDS, fields.len(), limit)?;
        self.out.extend((fields.len() as u16).to_be_bytes());
        let mut after_reference = false;
        for field in fields {
            self.out.push(field.kind.code());
            self.utf(&field.name)?;
            if field.kind.width().is_none() != field.type_name.is_some() {
                return Err(self.misfit(class, "a field without its type"));
            }
            match field.type_name {
                Some(name) => self.text_node(name)?,
                None if after_reference => {
                    return Err(self.misfit(class, "a primitive field behind a reference"));
                }
                None => {}
            }
            after_reference |= field.type_name.is_some();
        }
        Ok(())
    }
}
