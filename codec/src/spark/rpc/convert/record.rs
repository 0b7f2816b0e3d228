//! Declares the structs of messages: each field with its Rust name, its type, and its name in Java.

/// A struct for a class, written and read field by field.
macro_rules! record {
    ($(
        $class:literal
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $java:literal,)*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            /// The name of the Java class.
            pub const CLASS: &'static str = $class;

            /// The fields of an object of the class, or of one below it.
            #[allow(dead_code, unused_variables, reason = "not every class has fields or classes below it")]
            pub(in crate::spark::rpc) fn of_fields(
                object: $crate::spark::rpc::convert::ObjectReader<'_>,
            ) -> Result<Self, $crate::spark::rpc::ConvertError> {
                Ok(Self {
                    $($field: object.field($java)?,)*
                })
            }

            /// Makes an object of this class, which has the same fields.
            pub(in crate::spark::rpc) fn write_as(
                &self,
                class: &str,
                builder: &mut $crate::spark::rpc::Builder<'_>,
            ) -> Result<$crate::java::Value, $crate::spark::rpc::ConvertError> {
                let fields = [$({
                    let written = $crate::spark::rpc::JavaValue::write_field(&self.$field, builder);
                    ($java, written.map_err(|error| error.within($java))?)
                },)*];
                builder.object(class, &fields).map(Some)
            }
        }

        $crate::spark::rpc::convert::record!(@value $name);
    )*};
    (@value ResourceProfile) => {};
    (@value $name:ident) => {
        impl $crate::spark::rpc::JavaValue for $name {
            fn read(
                reader: &$crate::spark::rpc::Reader,
                value: $crate::java::Value,
            ) -> Result<Self, $crate::spark::rpc::ConvertError> {
                reader.object_of(value, Self::CLASS).and_then(Self::of_fields)
            }

            fn write(
                &self,
                builder: &mut $crate::spark::rpc::Builder<'_>,
            ) -> Result<$crate::java::Value, $crate::spark::rpc::ConvertError> {
                self.write_as(Self::CLASS, builder)
            }
        }
    };
}

/// A struct for a Scala object.
macro_rules! module {
    ($($class:literal $(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl $name {
            /// The name of the Java class.
            pub const CLASS: &'static str = $class;
        }

        impl $crate::spark::rpc::JavaValue for $name {
            fn read(
                reader: &$crate::spark::rpc::Reader,
                value: $crate::java::Value,
            ) -> Result<Self, $crate::spark::rpc::ConvertError> {
                reader.spend(0)?;
                match reader.module(value) {
                    Some(class) if class.is(Self::CLASS) => Ok(Self),
                    _ => Err(reader.wrong_class(value, Self::CLASS)),
                }
            }

            fn write(
                &self,
                builder: &mut $crate::spark::rpc::Builder<'_>,
            ) -> Result<$crate::java::Value, $crate::spark::rpc::ConvertError> {
                builder.module(Self::CLASS).map(Some)
            }
        }
    )*};
}

pub(in crate::spark::rpc) use {module, record};
