//! State and change of Masters.

use super::{ApplicationInfo, DriverInfo, NettyRpcEndpointRef, WorkerInfo};
use crate::spark::rpc::convert::{module, record};
use crate::spark::rpc::{JavaArray, RecoveryState};

record! {
    "org.apache.spark.deploy.DeployMessages$MasterChanged"
    /// New Master to Workers and drivers, one-way: it is the leader.
    MasterChanged {
        /// The Master's endpoint.
        master: NettyRpcEndpointRef = "master",
        /// The address of its web UI.
        master_web_ui_url: String = "masterWebUiUrl",
    }

    "org.apache.spark.deploy.DeployMessages$MasterStateResponse"
    /// The reply to [`RequestMasterState`].
    MasterStateResponse {
        /// The port it listens at.
        port: i32 = "port",
        /// The applications.
        active_apps: JavaArray<ApplicationInfo> = "activeApps",
        /// The drivers.
        active_drivers: JavaArray<DriverInfo> = "activeDrivers",
        /// The former applications.
        completed_apps: JavaArray<ApplicationInfo> = "completedApps",
        /// The former drivers.
        completed_drivers: JavaArray<DriverInfo> = "completedDrivers",
        /// The host it listens at.
        host: String = "host",
        /// The port of its REST server.
        rest_port: Option<i32> = "restPort",
        /// Its state.
        status: RecoveryState = "status",
        /// The Workers.
        workers: JavaArray<WorkerInfo> = "workers",
    }

    "org.apache.spark.deploy.master.MasterMessages$BoundPortsResponse"
    /// The reply to [`BoundPortsRequest`].
    BoundPortsResponse {
        /// The port it listens at.
        rpc_endpoint_port: i32 = "rpcEndpointPort",
        /// The port of its web UI.
        web_ui_port: i32 = "webUIPort",
        /// The port of its REST server.
        rest_port: Option<i32> = "restPort",
    }
}

module! {
    "org.apache.spark.deploy.DeployMessages$RequestMasterState$"
    /// Asked of a Master. The reply is [`MasterStateResponse`].
    RequestMasterState

    "org.apache.spark.deploy.DeployMessages$RequestReadyz$"
    /// Asked of a Master since 4.0: is it the leader? The reply is a boolean.
    RequestReadyz

    "org.apache.spark.deploy.master.MasterMessages$BoundPortsRequest$"
    /// Asked of a Master. The reply is [`BoundPortsResponse`].
    BoundPortsRequest
}
