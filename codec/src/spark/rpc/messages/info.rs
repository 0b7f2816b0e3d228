//! The state that a Master persists: the content of its recovery files.

use super::{ApplicationDescription, DriverDescription, NettyRpcEndpointRef, ResourceInformation};
use crate::spark::rpc::convert::record;
use crate::spark::rpc::jdk::Element;
use crate::spark::rpc::{Carried, Date, Kept, Map, OrNull};

record! {
    "org.apache.spark.deploy.master.ApplicationInfo"
    /// An application.
    ApplicationInfo {
        /// How many executors could not be started in a row.
        retry_count: i32 = "_retryCount",
        /// The cores it gets if it does not say how many.
        default_cores: i32 = "defaultCores",
        /// The cores it asked for.
        requested_cores: i32 = "requestedCores",
        /// When it registered, in milliseconds since the beginning of 1970 (UTC).
        start_time: i64 = "startTime",
        /// The application.
        desc: Carried<ApplicationDescription> = "desc",
        /// The driver's endpoint.
        driver: NettyRpcEndpointRef = "driver",
        /// Its id.
        id: String = "id",
        /// When it registered.
        submit_date: Date = "submitDate",
    }

    "org.apache.spark.deploy.master.WorkerInfo"
    /// A Worker.
    WorkerInfo {
        /// Its cores.
        cores: i32 = "cores",
        /// Its memory, in MiB.
        memory: i32 = "memory",
        /// The port it listens at.
        port: i32 = "port",
        /// Its endpoint.
        endpoint: NettyRpcEndpointRef = "endpoint",
        /// The host it listens at.
        host: String = "host",
        /// Its id.
        id: String = "id",
        /// Its resources, by name.
        resources: Map<String, WorkerResourceInfo> = "resources",
        /// The address of its web UI.
        web_ui_address: String = "webUiAddress",
    }

    "org.apache.spark.deploy.master.WorkerResourceInfo"
    /// A resource of a Worker.
    WorkerResourceInfo {
        /// Whether the map of what is free was ever needed.
        has_availability: bool = "bitmap$0",
        /// Its addresses.
        addresses: Vec<String> = "addresses",
        /// Its name.
        name: String = "name",
        /// How much of each address is free.
        availability: OrNull<Kept> = "org$apache$spark$resource$ResourceAllocator$$addressAvailabilityMap",
    }

    "org.apache.spark.deploy.master.DriverInfo"
    /// A driver.
    DriverInfo {
        /// When it was submitted, in milliseconds since the beginning of 1970 (UTC).
        start_time: i64 = "startTime",
        /// The resources it got, by name.
        resources: Map<String, ResourceInformation> = "_resources",
        /// The driver.
        desc: Carried<DriverDescription> = "desc",
        /// Its id.
        id: String = "id",
        /// When it was submitted.
        submit_date: Date = "submitDate",
    }
}

impl Element for ApplicationInfo {
    const ARRAY_CLASS: &'static str = "[Lorg.apache.spark.deploy.master.ApplicationInfo;";
}

impl Element for WorkerInfo {
    const ARRAY_CLASS: &'static str = "[Lorg.apache.spark.deploy.master.WorkerInfo;";
}

impl Element for DriverInfo {
    const ARRAY_CLASS: &'static str = "[Lorg.apache.spark.deploy.master.DriverInfo;";
}
