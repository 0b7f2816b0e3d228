//! Endpoints and references to them, and the answers that every endpoint can give.

use std::fmt;

use crate::spark::rpc::convert::record;
use crate::spark::rpc::{OrNull, Throwable, TimeUnit};

record! {
    "org.apache.spark.rpc.netty.RpcEndpointVerifier$CheckExistence"
    /// Asked of the endpoint verifier: does an endpoint of this name exist? The reply is a boolean.
    CheckExistence {
        /// The endpoint's name.
        name: String = "name",
    }

    "org.apache.spark.rpc.netty.RpcFailure"
    /// The reply of an endpoint that failed.
    RpcFailure {
        /// The reason.
        e: Throwable = "e",
    }

    "org.apache.spark.rpc.RpcAddress"
    /// The address at which a process listens.
    RpcAddress {
        /// The port.
        port: i32 = "port",
        /// A name or a number.
        host: String = "host",
    }

    "org.apache.spark.rpc.RpcEndpointAddress"
    /// An endpoint of a process.
    RpcEndpointAddress {
        /// The endpoint's name.
        name: String = "name",
        /// The address at which its process listens; null if it does not.
        rpc_address: OrNull<RpcAddress> = "rpcAddress",
        /// The address as text, for logs.
        to_string: OrNull<String> = "toString",
    }

    "org.apache.spark.rpc.netty.NettyRpcEndpointRef"
    /// A reference to an endpoint. One that comes in a message is reached over the connection it came on.
    NettyRpcEndpointRef {
        /// How long an ask through the reference waits. Null makes asks fail at the peer.
        default_ask_timeout: OrNull<RpcTimeout> = "defaultAskTimeout",
        /// The endpoint.
        endpoint_address: RpcEndpointAddress = "endpointAddress",
    }

    "org.apache.spark.rpc.RpcTimeout"
    /// A duration and the key that sets it.
    RpcTimeout {
        /// The duration.
        duration: FiniteDuration = "duration",
        /// The key.
        timeout_prop: String = "timeoutProp",
    }

    "scala.concurrent.duration.FiniteDuration"
    /// A duration.
    FiniteDuration {
        /// How many units.
        length: i64 = "length",
        /// The unit.
        unit: TimeUnit = "unit",
    }
}

impl NettyRpcEndpointRef {
    /// A reference to the endpoint `name` of a process that listens at `address`, or does not listen. Asks
    /// through it wait for `ask_timeout_s` seconds.
    pub fn new(name: &str, address: Option<RpcAddress>, ask_timeout_s: i64) -> Self {
        let timeout = RpcTimeout {
            duration: FiniteDuration {
                length: ask_timeout_s,
                unit: TimeUnit::Seconds,
            },
            timeout_prop: "spark.rpc.askTimeout".to_owned(),
        };
        Self {
            default_ask_timeout: OrNull(Some(timeout)),
            endpoint_address: RpcEndpointAddress::new(name, address),
        }
    }
}

impl RpcEndpointAddress {
    /// The address of an endpoint, with the text that Spark gives it.
    pub fn new(name: &str, address: Option<RpcAddress>) -> Self {
        let text = match &address {
            Some(address) => format!("spark://{name}@{address}"),
            None => format!("spark-client://{name}"),
        };
        Self {
            name: name.to_owned(),
            rpc_address: OrNull(address),
            to_string: OrNull(Some(text)),
        }
    }
}

impl fmt::Display for RpcAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
