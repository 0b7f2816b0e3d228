//! `scala.Option`.

use crate::java::{FieldValue, Value};
use crate::spark::rpc::{Builder, ConvertError, JavaValue, Reader};

const NONE: &str = "scala.None$";
const SOME: &str = "scala.Some";

impl<T: JavaValue> JavaValue for Option<T> {
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
        if reader.module(value).is_some_and(|class| class.is(NONE)) {
            reader.spend(0)?;
            return Ok(None);
        }
        let some = reader.object(value, "scala.Option")?;
        if !some.is(SOME) {
            return Err(reader.wrong_class(value, "scala.Option"));
        }
        // Whatever it holds is an object, a number too.
        T::read(reader, some.reference(VALUE)).map(Some)
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
        let id = match self {
            None => builder.module(NONE)?,
            Some(value) => {
                let value = FieldValue::Reference(value.write(builder)?);
                builder.object(SOME, &[(VALUE, value)])?
            }
        };
        Ok(Some(id))
    }
}

/// The field of `Some`.
const VALUE: &str = "value";
