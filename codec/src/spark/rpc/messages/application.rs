//! Registration and end of applications.

use super::{ApplicationDescription, NettyRpcEndpointRef};
use crate::spark::rpc::Carried;
use crate::spark::rpc::convert::{module, record};

record! {
    "org.apache.spark.deploy.DeployMessages$RegisterApplication"
    /// Driver to Master, one-way: wants executors.
    RegisterApplication {
        /// The application.
        app_description: Carried<ApplicationDescription> = "appDescription",
        /// The driver's endpoint.
        driver: NettyRpcEndpointRef = "driver",
    }

    "org.apache.spark.deploy.DeployMessages$RegisteredApplication"
    /// Master to driver, one-way: the application is known.
    RegisteredApplication {
        /// Its id.
        app_id: String = "appId",
        /// The Master's endpoint.
        master: NettyRpcEndpointRef = "master",
    }

    "org.apache.spark.deploy.DeployMessages$UnregisterApplication"
    /// Driver to Master, one-way: the application has finished.
    UnregisterApplication {
        /// Its id.
        app_id: String = "appId",
    }

    "org.apache.spark.deploy.DeployMessages$MasterChangeAcknowledged"
    /// Driver to Master, one-way: the answer to [`MasterChanged`](super::MasterChanged).
    MasterChangeAcknowledged {
        /// The application's id.
        app_id: String = "appId",
    }

    "org.apache.spark.deploy.DeployMessages$ApplicationFinished"
    /// Master to Worker, one-way: the application's directories can be deleted.
    ApplicationFinished {
        /// Its id.
        id: String = "id",
    }

    "org.apache.spark.deploy.DeployMessages$ApplicationRemoved"
    /// Master to driver, one-way: the application has been ended.
    ApplicationRemoved {
        /// The reason: the name of a state.
        message: String = "message",
    }

    "org.apache.spark.deploy.DeployMessages$WorkerRemoved"
    /// Master to driver, one-way: a Worker is gone.
    WorkerRemoved {
        /// The Worker's host.
        host: String = "host",
        /// The Worker's id.
        id: String = "id",
        /// The reason.
        message: String = "message",
    }
}

module! {
    "org.apache.spark.deploy.DeployMessages$StopAppClient$"
    /// A driver's own: ends its connection to the Masters.
    StopAppClient
}
