//! Objects, arrays and enum constants.

use super::Writer;
use crate::java::limits::MAX_ELEMENTS;
use crate::java::read::element_kind;
use crate::java::{
    Array, Class, Elements, FieldValue, Flags, Level, Limits, NodeId, Object, WriteError, code,
};

impl Writer<'_> {
    pub(super) fn object(&mut self, id: NodeId, object: &Object) -> Result<(), WriteError> {
        self.out.push(code::OBJECT);
        self.class_desc(Some(object.class))?;
        self.give_handle(id);
        if let Some(own) = self.tree.class(object.class)
            && own.flags.has(Flags::EXTERNALIZABLE)
        {
            return self.external(object);
        }
        let line = self.tree.line(object.class, self.limits.max_supers);
        let line = line.unwrap_or_default();
        if line.len() != object.levels.len() {
            return Err(self.misfit(
                object.class,
                "data of more or fewer classes than its line has",
            ));
        }
        for (class, level) in line.into_iter().zip(&object.levels) {
            match self.tree.class(class) {
                Some(described) => self.level(class, described, level)?,
                None if level.fields.is_empty() && level.annotation.is_empty() => {}
                None => return Err(self.misfit(class, "a proxy class has no data of its own")),
            }
        }
        Ok(())
    }

    fn external(&mut self, object: &Object) -> Result<(), WriteError> {
        match &object.levels[..] {
            [level] if level.fields.is_empty() => self.annotation(&level.annotation),
            _ => Err(self.misfit(
                object.class,
                "an externalizable object has an annotation alone",
            )),
        }
    }

    fn level(&mut self, id: NodeId, class: &Class, level: &Level) -> Result<(), WriteError> {
        if !class.flags.has(Flags::SERIALIZABLE) || class.flags.has(Flags::ENUM) {
            return Err(self.misfit(id, "an object of a class that has none"));
        }
        if class.fields.len() != level.fields.len() {
            return Err(self.misfit(id, "more or fewer values than fields"));
        }
        for (field, value) in class.fields.iter().zip(&level.fields) {
            if !value.fits(field.kind) {
                return Err(self.misfit(id, "a value of another type than its field"));
            }
            self.field_value(*value)?;
        }
        if class.flags.has(Flags::WRITE_METHOD) {
            self.annotation(&level.annotation)
        } else if level.annotation.is_empty() {
            Ok(())
        } else {
            Err(self.misfit(id, "an annotation without a write method"))
        }
    }

    fn field_value(&mut self, value: FieldValue) -> Result<(), WriteError> {
        match value {
            FieldValue::Byte(value) => self.out.push(value as u8),
            FieldValue::Char(value) => self.out.extend(value.to_be_bytes()),
            FieldValue::Double(value) => self.out.extend(value.to_bits().to_be_bytes()),
            FieldValue::Float(value) => self.out.extend(value.to_bits().to_be_bytes()),
            FieldValue::Int(value) => self.out.extend(value.to_be_bytes()),
            FieldValue::Long(value) => self.out.extend(value.to_be_bytes()),
            FieldValue::Short(value) => self.out.extend(value.to_be_bytes()),
            FieldValue::Boolean(value) => self.out.push(u8::from(value)),
            FieldValue::Reference(value) => return self.value(value),
        }
        Ok(())
    }

    pub(super) fn array(&mut self, id: NodeId, array: &Array) -> Result<(), WriteError> {
        let class = self.tree.class(array.class);
        let Some(kind) = class.and_then(|class| element_kind(&class.name)) else {
            return Err(self.misfit(array.class, "the class of an array has another name"));
        };
        self.out.push(code::ARRAY);
        self.class_desc(Some(array.class))?;
        self.give_handle(id);
        let max = self.limits.max_elements as usize;
        match (&array.elements, kind.width()) {
            (Elements::Primitive(bytes), Some(width)) if bytes.len() % width == 0 => {
                let count = bytes.len() / width;
                Limits::allow_write(MAX_ELEMENTS, count, max)?;
                self.len(count)?;
                self.out.extend(bytes);
                Ok(())
            }
            (Elements::References(values), None) => {
                Limits::allow_write(MAX_ELEMENTS, values.len(), max)?;
                self.len(values.len())?;
                values.iter().try_for_each(|value| self.value(*value))
            }
            _ => Err(self.misfit(array.class, "elements of another type")),
        }
    }

    pub(super) fn constant(
        &mut self,
        id: NodeId,
        class: NodeId,
        name: NodeId,
    ) -> Result<(), WriteError> {
        let flags = self.tree.class(class).map(|class| class.flags);
        if !flags.is_some_and(|flags| flags.has(Flags::ENUM)) {
            return Err(self.misfit(class, "a constant of a class that is no enum"));
        }
        self.out.push(code::ENUM);
        self.class_desc(Some(class))?;
        self.give_handle(id);
        match self.is_written(name) {
            // Java takes no reference in this place.
            true => Err(WriteError::WrongNode {
                expected: "a text of the constant's own",
            }),
            false => self.text_node(name),
        }
    }
}
