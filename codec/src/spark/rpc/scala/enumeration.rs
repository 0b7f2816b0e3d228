//! Scala's enumerations: a constant is its number, and the enumeration that it belongs to.

use std::fmt;

use crate::java::{FieldValue, Value};
use crate::spark::rpc::{Builder, ConvertError, ConvertErrorKind, JavaValue, Reader};

/// The class of the constants; 2.12 writes their whole enumeration with them, in a circle.
const VAL: &str = "scala.Enumeration$Val";

macro_rules! enumeration {
    ($(
        $class:literal
        $(#[$doc:meta])*
        $name:ident { $($(#[$constant_doc:meta])* $constant:ident = $id:literal $text:literal,)* }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        pub enum $name {
            $($(#[$constant_doc])* $constant = $id,)*
        }

        impl $name {
            /// The name of the Java class.
            pub const CLASS: &'static str = $class;

            /// All constants, by their numbers.
            pub const ALL: &'static [$name] = &[$($name::$constant),*];

            /// The constant with this number.
            pub fn of_id(id: i32) -> Option<Self> {
                Self::ALL.iter().copied().find(|constant| *constant as i32 == id)
            }

            /// The constant's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $($name::$constant => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl JavaValue for $name {
            fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
                let id = read(reader, value, Self::CLASS)?;
                let missing = || ConvertErrorKind::NoConstant {
                    enumeration: Self::CLASS,
                    id: id.to_string(),
                };
                Ok(Self::of_id(id).ok_or_else(missing)?)
            }

            fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
                write(builder, *self as i32, Self::CLASS)
            }
        }
    )*};
}

enumeration! {
    "org.apache.spark.deploy.ExecutorState$"
    /// The state of an executor.
    ExecutorState {
        /// The Worker has been told to start it.
        Launching = 0 "LAUNCHING",
        /// Its process runs.
        Running = 1 "RUNNING",
        /// Ended on request.
        Killed = 2 "KILLED",
        /// It could not be started.
        Failed = 3 "FAILED",
        /// Its Worker is gone.
        Lost = 4 "LOST",
        /// Its process has ended by itself.
        Exited = 5 "EXITED",
        /// It takes no more work.
        Decommissioned = 6 "DECOMMISSIONED",
    }

    "org.apache.spark.deploy.master.DriverState$"
    /// The state of a driver that the cluster runs.
    DriverState {
        /// Waiting for a Worker.
        Submitted = 0 "SUBMITTED",
        /// Its process runs.
        Running = 1 "RUNNING",
        /// Ended with exit code 0.
        Finished = 2 "FINISHED",
        /// Waiting to be started again.
        Relaunching = 3 "RELAUNCHING",
        /// Unknown after a recovery of the Master.
        Unknown = 4 "UNKNOWN",
        /// Ended on request.
        Killed = 5 "KILLED",
        /// Ended with another exit code.
        Failed = 6 "FAILED",
        /// It could not be started.
        Error = 7 "ERROR",
    }

    "org.apache.spark.deploy.master.RecoveryState$"
    /// The state of a Master.
    RecoveryState {
        /// Another is the leader.
        Standby = 0 "STANDBY",
        /// The leader.
        Alive = 1 "ALIVE",
        /// The leader, asking Workers and applications.
        Recovering = 2 "RECOVERING",
        /// The leader, about to forget who did not answer.
        CompletingRecovery = 3 "COMPLETING_RECOVERY",
    }
}

fn read(reader: &Reader, value: Value, class: &'static str) -> Result<i32, ConvertError> {
    let constant = reader.object_of(value, VAL)?;
    let outer = constant.reference("$outer");
    match reader.module(outer) {
        Some(name) if name.is(class) => constant.field("i"),
        _ => Err(reader.wrong_class(outer, class)),
    }
}

/// The shortest form that Java resolves to the right constant.
fn write(builder: &mut Builder<'_>, id: i32, class: &str) -> Result<Value, ConvertError> {
    let outer = FieldValue::Reference(Some(builder.module(class)?));
    let constant = builder.object(VAL, &[("i", FieldValue::Int(id)), ("$outer", outer)])?;
    Ok(Some(constant))
}
