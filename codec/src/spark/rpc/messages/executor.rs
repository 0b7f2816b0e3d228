//! The life of executors.

use super::{ApplicationDescription, ResourceInformation, ResourceProfile};
use crate::spark::rpc::convert::record;
use crate::spark::rpc::{Carried, ExecutorState, Map};

record! {
    "org.apache.spark.deploy.DeployMessages$LaunchExecutor"
    /// Master to Worker, one-way: start an executor.
    LaunchExecutor {
        /// Its cores.
        cores: i32 = "cores",
        /// Its number within the application.
        exec_id: i32 = "execId",
        /// Its memory, in MiB.
        memory: i32 = "memory",
        /// The number of its resource profile.
        rp_id: i32 = "rpId",
        /// The application, as its driver described it.
        app_desc: Carried<ApplicationDescription> = "appDesc",
        /// The application's id.
        app_id: String = "appId",
        /// The Master's address as the Worker knows it, or the Worker ignores the message.
        master_url: String = "masterUrl",
        /// The resources that it gets, by name.
        resources: Map<String, ResourceInformation> = "resources",
    }

    "org.apache.spark.deploy.DeployMessages$KillExecutor"
    /// Master to Worker, one-way: end an executor.
    KillExecutor {
        /// Its number within the application.
        exec_id: i32 = "execId",
        /// The application's id.
        app_id: String = "appId",
        /// As in [`LaunchExecutor`].
        master_url: String = "masterUrl",
    }

    "org.apache.spark.deploy.DeployMessages$ExecutorStateChanged"
    /// Asked of a Master by a Worker: notes a state. The reply is a boolean.
    ExecutorStateChanged {
        /// The executor's number within the application.
        exec_id: i32 = "execId",
        /// The application's id.
        app_id: String = "appId",
        /// The exit code of its process.
        exit_status: Option<i32> = "exitStatus",
        /// The reason.
        message: Option<String> = "message",
        /// The state.
        state: ExecutorState = "state",
    }

    "org.apache.spark.deploy.DeployMessages$ExecutorAdded"
    /// Master to driver, one-way: an executor is being started.
    ExecutorAdded {
        /// Its cores.
        cores: i32 = "cores",
        /// Its number.
        id: i32 = "id",
        /// Its memory, in MiB.
        memory: i32 = "memory",
        /// Its Worker's address.
        host_port: String = "hostPort",
        /// Its Worker's id.
        worker_id: String = "workerId",
    }

    "org.apache.spark.deploy.DeployMessages$ExecutorUpdated"
    /// Master to driver, one-way: an executor has another state.
    ExecutorUpdated {
        /// Its number.
        id: i32 = "id",
        /// The exit code of its process.
        exit_status: Option<i32> = "exitStatus",
        /// The reason.
        message: Option<String> = "message",
        /// The state.
        state: ExecutorState = "state",
        /// The host of its Worker, if that is lost.
        worker_host: Option<String> = "workerHost",
    }

    "org.apache.spark.deploy.DeployMessages$RequestExecutors"
    /// Asked of a Master by a driver: how many executors it wants of each profile. The reply is a boolean.
    RequestExecutors {
        /// The application's id.
        app_id: String = "appId",
        /// The numbers of executors.
        resource_profile_to_total_execs: Map<ResourceProfile, i32> = "resourceProfileToTotalExecs",
    }

    "org.apache.spark.deploy.DeployMessages$KillExecutors"
    /// Asked of a Master by a driver: end these executors. The reply is a boolean.
    KillExecutors {
        /// The application's id.
        app_id: String = "appId",
        /// The executors' numbers, in decimal.
        executor_ids: Vec<String> = "executorIds",
    }
}
