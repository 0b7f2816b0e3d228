//! Any message, by the class of its object.

use super::*;
use crate::java::{Limits, Node, Profile, Value};
use crate::spark::rpc::{
    Builder, ConvertError, DecodeError, EncodeError, JavaValue, Kept, Reader, decode, encode,
};

macro_rules! messages {
    ($($name:ident)*) => {
        /// A message, a reply or a record.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Message {
            /// The reply null.
            Null,
            /// A reply.
            Boolean(bool),
            /// A reply.
            Integer(i32),
            /// A text.
            Text(String),
            $(
                #[doc = concat!("See [`", stringify!($name), "`].")]
                $name(Box<$name>),
            )*
            /// An object of a class that is not modelled.
            Other(Kept),
        }

        impl Message {
            fn read_object(
                reader: &Reader,
                value: Value,
                class: &str,
            ) -> Result<Self, ConvertError> {
                match class {
                    "java.lang.Boolean" => bool::read(reader, value).map(Self::Boolean),
                    "java.lang.Integer" => i32::read(reader, value).map(Self::Integer),
                    $($name::CLASS => $name::read(reader, value).map(|read| Self::$name(Box::new(read))),)*
                    _ => Kept::read(reader, value).map(Self::Other),
                }
            }
        }

        impl JavaValue for Message {
            fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
                let Some(id) = value else {
                    return Ok(Self::Null);
                };
                if let Node::Text(_) = reader.tree().node(id) {
                    return String::read(reader, value).map(Self::Text);
                }
                let class = match reader.module(value) {
                    Some(module) => Some(module),
                    None => reader.tree().class_of(value).map(|class| &class.name),
                };
                let class = class.map(|name| name.to_str_lossy());
                Self::read_object(reader, value, class.as_deref().unwrap_or_default())
            }

            fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
                match self {
                    Self::Null => Ok(None),
                    Self::Boolean(value) => value.write(builder),
                    Self::Integer(value) => value.write(builder),
                    Self::Text(value) => value.write(builder),
                    $(Self::$name(message) => message.write(builder),)*
                    Self::Other(object) => object.write(builder),
                }
            }
        }

        $(
            impl From<$name> for Message {
                fn from(message: $name) -> Self {
                    Self::$name(Box::new(message))
                }
            }
        )*
    };
}

messages! {
    CheckExistence RpcFailure
    RegisterWorker RegisteredWorker RegisterWorkerFailed MasterInStandby Heartbeat ReconnectWorker
    WorkerLatestState WorkerSchedulerStateResponse WorkerDecommissioning DecommissionWorker
    DecommissionWorkers DecommissionWorkersOnHosts RequestWorkerState WorkerStateResponse
    ReregisterWithMaster SendHeartbeat WorkDirCleanup WorkerDecommissionSigReceived
    LaunchExecutor KillExecutor ExecutorStateChanged ExecutorAdded ExecutorUpdated RequestExecutors
    KillExecutors
    RegisterApplication RegisteredApplication UnregisterApplication MasterChangeAcknowledged
    ApplicationFinished ApplicationRemoved WorkerRemoved StopAppClient
    RequestSubmitDriver SubmitDriverResponse RequestKillDriver KillDriverResponse KillAllDriversResponse
    RequestKillAllDrivers RequestClearCompletedDriversAndApps RequestDriverStatus DriverStatusResponse
    LaunchDriver KillDriver DriverStateChanged
    MasterChanged RequestMasterState MasterStateResponse RequestReadyz BoundPortsRequest
    BoundPortsResponse
    ApplicationInfo WorkerInfo DriverInfo
}

impl Message {
    /// Reads the message in a stream.
    ///
    /// # Errors
    /// [`DecodeError`] if it is no stream of one object, beyond a limit, or an object of a known class that is
    /// not built as Spark builds it. An object of an unknown class is [`Message::Other`].
    pub fn decode(stream: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        decode(stream, limits)
    }

    /// Appends the message as a stream, for a peer with the classes of `profile`. On an error `out` is as it
    /// was.
    ///
    /// # Errors
    /// [`EncodeError`] if the peer's version does not have the message, or a limit is reached.
    pub fn encode(
        &self,
        profile: &Profile,
        limits: &Limits,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        encode(self, profile, limits, out)
    }
}
