//! Objects, arrays, enum constants and `Class` objects.

use super::Reader;
use crate::java::limits::MAX_ELEMENTS;
use crate::java::{
    Array, Elements, FieldKind, FieldValue, Flags, Level, Node, NodeId, Object, ReadError, Text,
};

impl Reader<'_> {
    pub(super) fn object(&mut self) -> Result<NodeId, ReadError> {
        let class = self.own_class()?;
        let levels = Vec::new();
        let id = self.add(Node::Object(Object { class, levels }))?;
        self.handles.push(Some(id));
        let levels = self.levels(class)?;
        *self.tree.node_mut(id) = Node::Object(Object { class, levels });
        Ok(id)
    }

    /// The data of an object, class by class.
    fn levels(&mut self, class: NodeId) -> Result<Vec<Level>, ReadError> {
        if let Some(own) = self.tree.class(class)
            && own.flags.has(Flags::EXTERNALIZABLE)
        {
            let annotation = self.annotation()?;
            let fields = Vec::new();
            return Ok(vec![Level { fields, annotation }]);
        }
        let line = self.tree.line(class, self.limits.max_supers);
        let line = line.expect("every line was checked when its class was complete");
        let mut levels = Vec::new();
        for class in line {
            self.count_part()?;
            levels.push(self.level(class)?);
        }
        Ok(levels)
    }

    fn level(&mut self, class: NodeId) -> Result<Level, ReadError> {
        let mut level = Level::default();
        let Some(described) = self.tree.class(class) else {
            return Ok(level);
        };
        let flags = described.flags;
        if !flags.has(Flags::SERIALIZABLE) || flags.has(Flags::ENUM) {
            let name = described.name.clone();
            return Err(self.class_error(&name, "an object of a class that has none"));
        }
        let kinds: Vec<FieldKind> = described.fields.iter().map(|field| field.kind).collect();
        for kind in kinds {
            level.fields.push(self.field_value(kind)?);
        }
        if flags.has(Flags::WRITE_METHOD) {
            level.annotation = self.annotation()?;
        }
        Ok(level)
    }

    fn field_value(&mut self, kind: FieldKind) -> Result<FieldValue, ReadError> {
        let cursor = &mut self.cursor;
        Ok(match kind {
            FieldKind::Byte => FieldValue::Byte(cursor.u8()? as i8),
            FieldKind::Char => FieldValue::Char(cursor.u16()?),
            FieldKind::Double => FieldValue::Double(f64::from_bits(cursor.i64()? as u64)),
            FieldKind::Float => FieldValue::Float(f32::from_bits(cursor.u32()?)),
            FieldKind::Int => FieldValue::Int(cursor.u32()? as i32),
            FieldKind::Long => FieldValue::Long(cursor.i64()?),
            FieldKind::Short => FieldValue::Short(cursor.u16()? as i16),
            FieldKind::Boolean => FieldValue::Boolean(cursor.u8()? != 0),
            FieldKind::Object | FieldKind::Array => FieldValue::Reference(self.next_value()?),
        })
    }

    pub(super) fn array(&mut self) -> Result<NodeId, ReadError> {
        let class = self.own_class()?;
        let kind = self.element_kind(class)?;
        let elements = Elements::References(Vec::new());
        let id = self.add(Node::Array(Array { class, elements }))?;
        self.handles.push(Some(id));
        let count = self.cursor.len()?;
        self.allow(MAX_ELEMENTS, count, self.limits.max_elements as usize)?;
        let elements = match kind.width() {
            Some(width) => {
                let bytes = self.cursor.take(count.saturating_mul(width))?;
                Elements::Primitive(bytes.into())
            }
            None => {
                // Grows with what comes: arrays nest, and each can announce as much as the last.
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.next_value()?);
                }
                Elements::References(values)
            }
        };
        *self.tree.node_mut(id) = Node::Array(Array { class, elements });
        Ok(id)
    }

    fn element_kind(&self, class: NodeId) -> Result<FieldKind, ReadError> {
        let class = self.tree.class(class);
        let kind = class.and_then(|class| element_kind(&class.name));
        kind.ok_or_else(|| {
            let proxy = Text::from("a proxy");
            let name = class.map_or(&proxy, |class| &class.name);
            self.class_error(name, "the class of an array has another name")
        })
    }

    pub(super) fn class_object(&mut self) -> Result<NodeId, ReadError> {
        let class = self.own_class()?;
        let id = self.add(Node::ClassObject { class })?;
        self.handles.push(Some(id));
        Ok(id)
    }

    pub(super) fn constant(&mut self) -> Result<NodeId, ReadError> {
        let class = self.own_class()?;
        let flags = self.tree.class(class).map(|class| class.flags);
        if !flags.is_some_and(|flags| flags.has(Flags::ENUM)) {
            let name = self.tree.class(class).map(|class| class.name.clone());
            let name = name.unwrap_or_else(|| Text::from("a proxy"));
            return Err(self.class_error(&name, "a constant of a class that is no enum"));
        }
        // Its handle comes before that of its name.
        let handle = self.handles.len();
        self.handles.push(None);
        let name = self.own_text()?;
        let id = self.add(Node::Enum { class, name })?;
        self.handles[handle] = Some(id);
        Ok(id)
    }
}

/// The type of the elements of an array whose class has this name.
pub(in crate::java) fn element_kind(class: &Text) -> Option<FieldKind> {
    match class.as_bytes() {
        [b'[', code] => FieldKind::of_code(*code).filter(|kind| kind.width().is_some()),
        [b'[', code @ (b'L' | b'['), _, ..] => FieldKind::of_code(*code),
        _ => None,
    }
}
