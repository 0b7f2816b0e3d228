//! Registration, heartbeats and state of Workers.

use super::{ExecutorDescription, NettyRpcEndpointRef, ResourceInformation, RpcAddress};
use crate::spark::rpc::convert::{module, record};
use crate::spark::rpc::{Kept, Map};

record! {
    "org.apache.spark.deploy.DeployMessages$RegisterWorker"
    /// Worker to Master, one-way: takes part in the cluster.
    RegisterWorker {
        /// Its cores.
        cores: i32 = "cores",
        /// Its memory, in MiB.
        memory: i32 = "memory",
        /// The port it listens at.
        port: i32 = "port",
        /// The host it listens at.
        host: String = "host",
        /// Its id.
        id: String = "id",
        /// The Master's address as the Worker was given it; comes back in [`RegisteredWorker`].
        master_address: RpcAddress = "masterAddress",
        /// Its resources, by name.
        resources: Map<String, ResourceInformation> = "resources",
        /// The Worker's endpoint.
        worker: NettyRpcEndpointRef = "worker",
        /// The address of its web UI.
        worker_web_ui_url: String = "workerWebUiUrl",
    }

    "org.apache.spark.deploy.DeployMessages$RegisteredWorker"
    /// Master to Worker, one-way: it takes part.
    RegisteredWorker {
        /// Whether it did before.
        duplicate: bool = "duplicate",
        /// The Master's endpoint.
        master: NettyRpcEndpointRef = "master",
        /// The address in [`RegisterWorker`].
        master_address: RpcAddress = "masterAddress",
        /// The address of the Master's web UI.
        master_web_ui_url: String = "masterWebUiUrl",
    }

    "org.apache.spark.deploy.DeployMessages$RegisterWorkerFailed"
    /// Master to Worker, one-way: it does not take part.
    RegisterWorkerFailed {
        /// The reason.
        message: String = "message",
    }

    "org.apache.spark.deploy.DeployMessages$Heartbeat"
    /// Worker to Master, one-way: it lives.
    Heartbeat {
        /// The Worker's endpoint.
        worker: NettyRpcEndpointRef = "worker",
        /// Its id.
        worker_id: String = "workerId",
    }

    "org.apache.spark.deploy.DeployMessages$ReconnectWorker"
    /// Master to Worker, one-way: the answer to a heartbeat of a Worker that had been given up.
    ReconnectWorker {
        /// The Master's address, as `spark://host:port`.
        master_url: String = "masterUrl",
    }

    "org.apache.spark.deploy.DeployMessages$WorkerLatestState"
    /// Worker to Master, one-way, behind every [`RegisteredWorker`]: what it runs.
    WorkerLatestState {
        /// The ids of its drivers.
        driver_ids: Vec<String> = "driverIds",
        /// Its executors.
        executors: Vec<ExecutorDescription> = "executors",
        /// The Worker's id.
        id: String = "id",
    }

    "org.apache.spark.deploy.DeployMessages$WorkerSchedulerStateResponse"
    /// Worker to Master, one-way: the answer to [`MasterChanged`](super::MasterChanged).
    WorkerSchedulerStateResponse {
        /// Its drivers.
        driver_responses: Vec<WorkerDriverStateResponse> = "driverResponses",
        /// Its executors.
        exec_responses: Vec<WorkerExecutorStateResponse> = "execResponses",
        /// The Worker's id.
        id: String = "id",
    }

    "org.apache.spark.deploy.DeployMessages$WorkerDriverStateResponse"
    /// A driver in [`WorkerSchedulerStateResponse`].
    WorkerDriverStateResponse {
        /// Its id.
        driver_id: String = "driverId",
        /// Its resources, by name.
        resources: Map<String, ResourceInformation> = "resources",
    }

    "org.apache.spark.deploy.DeployMessages$WorkerExecutorStateResponse"
    /// An executor in [`WorkerSchedulerStateResponse`].
    WorkerExecutorStateResponse {
        /// The executor.
        desc: ExecutorDescription = "desc",
        /// Its resources, by name.
        resources: Map<String, ResourceInformation> = "resources",
    }

    "org.apache.spark.deploy.DeployMessages$WorkerDecommissioning"
    /// Worker to Master, one-way: it decommissions itself.
    WorkerDecommissioning {
        /// The Worker's id.
        id: String = "id",
        /// The Worker's endpoint.
        worker_ref: NettyRpcEndpointRef = "workerRef",
    }

    "org.apache.spark.deploy.DeployMessages$DecommissionWorkers"
    /// A Master's own: decommissions these Workers.
    DecommissionWorkers {
        /// The ids of the Workers.
        ids: Vec<String> = "ids",
    }

    "org.apache.spark.deploy.DeployMessages$DecommissionWorkersOnHosts"
    /// Asked of a Master: decommissions the Workers of these hosts. The reply is their number.
    DecommissionWorkersOnHosts {
        /// The hosts.
        hostnames: Vec<String> = "hostnames",
    }

    "org.apache.spark.deploy.DeployMessages$WorkerStateResponse"
    /// The reply to [`RequestWorkerState`].
    WorkerStateResponse {
        /// The Worker's cores.
        cores: i32 = "cores",
        /// Those in use.
        cores_used: i32 = "coresUsed",
        /// The Worker's memory, in MiB.
        memory: i32 = "memory",
        /// The part in use, in MiB.
        memory_used: i32 = "memoryUsed",
        /// The port it listens at.
        port: i32 = "port",
        /// Its drivers, which Spark itself cannot write.
        drivers: Vec<Kept> = "drivers",
        /// Its executors, which Spark itself cannot write.
        executors: Vec<Kept> = "executors",
        /// Its former drivers.
        finished_drivers: Vec<Kept> = "finishedDrivers",
        /// Its former executors.
        finished_executors: Vec<Kept> = "finishedExecutors",
        /// The host it listens at.
        host: String = "host",
        /// Its Master's address.
        master_url: String = "masterUrl",
        /// The address of its Master's web UI.
        master_web_ui_url: String = "masterWebUiUrl",
        /// Its resources, by name.
        resources: Map<String, ResourceInformation> = "resources",
        /// Those in use.
        resources_used: Map<String, ResourceInformation> = "resourcesUsed",
        /// Its id.
        worker_id: String = "workerId",
    }
}

module! {
    "org.apache.spark.deploy.DeployMessages$MasterInStandby$"
    /// Master to Worker, one-way: another Master is the leader.
    MasterInStandby

    "org.apache.spark.deploy.DeployMessages$DecommissionWorker$"
    /// Master to Worker, one-way: decommission yourself.
    DecommissionWorker

    "org.apache.spark.deploy.DeployMessages$RequestWorkerState$"
    /// Asked of a Worker; the reply is [`WorkerStateResponse`].
    RequestWorkerState

    "org.apache.spark.deploy.DeployMessages$ReregisterWithMaster$"
    /// A Worker's own: registers again.
    ReregisterWithMaster

    "org.apache.spark.deploy.DeployMessages$SendHeartbeat$"
    /// A Worker's own: sends a heartbeat.
    SendHeartbeat

    "org.apache.spark.deploy.DeployMessages$WorkDirCleanup$"
    /// A Worker's own: deletes the directories of former applications.
    WorkDirCleanup

    "org.apache.spark.deploy.DeployMessages$WorkerDecommissionSigReceived$"
    /// A Worker's own: the signal to decommission itself came.
    WorkerDecommissionSigReceived
}
