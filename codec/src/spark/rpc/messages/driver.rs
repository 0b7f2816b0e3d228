//! Drivers that the cluster runs.

use super::{DriverDescription, NettyRpcEndpointRef, ResourceInformation};
use crate::spark::rpc::convert::{module, record};
use crate::spark::rpc::{Carried, DriverState, Map, Throwable};

record! {
    "org.apache.spark.deploy.DeployMessages$RequestSubmitDriver"
    /// Asked of a Master by a client: run a driver. The reply is [`SubmitDriverResponse`].
    RequestSubmitDriver {
        /// The driver.
        driver_description: Carried<DriverDescription> = "driverDescription",
    }

    "org.apache.spark.deploy.DeployMessages$SubmitDriverResponse"
    /// The reply to [`RequestSubmitDriver`].
    SubmitDriverResponse {
        /// Whether the driver will be run.
        success: bool = "success",
        /// Its id.
        driver_id: Option<String> = "driverId",
        /// The Master's endpoint.
        master: NettyRpcEndpointRef = "master",
        /// A text for the user.
        message: String = "message",
    }

    "org.apache.spark.deploy.DeployMessages$RequestKillDriver"
    /// Asked of a Master by a client: end a driver. The reply is [`KillDriverResponse`].
    RequestKillDriver {
        /// Its id.
        driver_id: String = "driverId",
    }

    "org.apache.spark.deploy.DeployMessages$KillDriverResponse"
    /// The reply to [`RequestKillDriver`].
    KillDriverResponse {
        /// Whether it will be ended.
        success: bool = "success",
        /// Its id.
        driver_id: String = "driverId",
        /// The Master's endpoint.
        master: NettyRpcEndpointRef = "master",
        /// A text for the user.
        message: String = "message",
    }

    "org.apache.spark.deploy.DeployMessages$KillAllDriversResponse"
    /// The reply to [`RequestKillAllDrivers`], since 4.0.
    KillAllDriversResponse {
        /// Whether they will be ended.
        success: bool = "success",
        /// The Master's endpoint.
        master: NettyRpcEndpointRef = "master",
        /// A text for the user.
        message: String = "message",
    }

    "org.apache.spark.deploy.DeployMessages$RequestDriverStatus"
    /// Asked of a Master by a client. The reply is [`DriverStatusResponse`].
    RequestDriverStatus {
        /// The driver's id.
        driver_id: String = "driverId",
    }

    "org.apache.spark.deploy.DeployMessages$DriverStatusResponse"
    /// The reply to [`RequestDriverStatus`].
    DriverStatusResponse {
        /// Whether the driver is known.
        found: bool = "found",
        /// The reason of its end, or of not being found.
        exception: Option<Throwable> = "exception",
        /// Its state.
        state: Option<DriverState> = "state",
        /// Its Worker's address.
        worker_host_port: Option<String> = "workerHostPort",
        /// Its Worker's id.
        worker_id: Option<String> = "workerId",
    }

    "org.apache.spark.deploy.DeployMessages$LaunchDriver"
    /// Master to Worker, one-way: start a driver.
    LaunchDriver {
        /// The driver, as its client described it.
        driver_desc: Carried<DriverDescription> = "driverDesc",
        /// Its id.
        driver_id: String = "driverId",
        /// The resources that it gets, by name.
        resources: Map<String, ResourceInformation> = "resources",
    }

    "org.apache.spark.deploy.DeployMessages$KillDriver"
    /// Master to Worker, one-way: end a driver.
    KillDriver {
        /// Its id.
        driver_id: String = "driverId",
    }

    "org.apache.spark.deploy.DeployMessages$DriverStateChanged"
    /// Worker to Master, one-way: a driver has ended.
    DriverStateChanged {
        /// Its id.
        driver_id: String = "driverId",
        /// The reason, if it could not be started.
        exception: Option<Throwable> = "exception",
        /// Its state.
        state: DriverState = "state",
    }
}

module! {
    "org.apache.spark.deploy.DeployMessages$RequestKillAllDrivers$"
    /// Asked of a Master since 4.0: end all drivers. The reply is [`KillAllDriversResponse`].
    RequestKillAllDrivers

    "org.apache.spark.deploy.DeployMessages$RequestClearCompletedDriversAndApps$"
    /// Asked of a Master since 4.0: forget what has ended. The reply is a boolean.
    RequestClearCompletedDriversAndApps
}
