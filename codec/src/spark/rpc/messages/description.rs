//! Descriptions of applications, drivers and executors: what a Worker is to start.

use super::{ResourceProfile, ResourceRequirement};
use crate::spark::rpc::convert::record;
use crate::spark::rpc::{ExecutorState, Map, Uri};

record! {
    "org.apache.spark.deploy.Command"
    /// A JVM to start.
    Command {
        /// The arguments, with placeholders such as `{{EXECUTOR_ID}}`.
        arguments: Vec<String> = "arguments",
        /// The class path in front of Spark's own.
        class_path_entries: Vec<String> = "classPathEntries",
        /// The environment, beside the Worker's own.
        environment: Map<String, String> = "environment",
        /// The JVM's options.
        java_opts: Vec<String> = "javaOpts",
        /// Directories of native libraries.
        library_path_entries: Vec<String> = "libraryPathEntries",
        /// The class whose `main` is run.
        main_class: String = "mainClass",
    }

    "org.apache.spark.deploy.ApplicationDescription"
    /// A driver's description of its application.
    ApplicationDescription {
        /// The address of its web UI; empty if it has none.
        app_ui_url: String = "appUiUrl",
        /// The command of its executors.
        command: Command = "command",
        /// The needs of its executors.
        default_profile: ResourceProfile = "defaultProfile",
        /// The compression of its event log.
        event_log_codec: Option<String> = "eventLogCodec",
        /// The place of its event log.
        event_log_dir: Option<Uri> = "eventLogDir",
        /// How many executors it begins with, under dynamic allocation.
        initial_executor_limit: Option<i32> = "initialExecutorLimit",
        /// The most cores that it takes.
        max_cores: Option<i32> = "maxCores",
        /// Its name.
        name: String = "name",
        /// Its user.
        user: String = "user",
    }

    "org.apache.spark.deploy.DriverDescription"
    /// A driver that the cluster is to run.
    DriverDescription {
        /// Its cores.
        cores: i32 = "cores",
        /// Its memory, in MiB.
        mem: i32 = "mem",
        /// Whether it is started again when it fails.
        supervise: bool = "supervise",
        /// Its command.
        command: Command = "command",
        /// The source of its jar.
        jar_url: String = "jarUrl",
        /// The resources that it needs.
        resource_reqs: Vec<ResourceRequirement> = "resourceReqs",
    }

    "org.apache.spark.deploy.ExecutorDescription"
    /// An executor that a Worker runs.
    ExecutorDescription {
        /// Its cores.
        cores: i32 = "cores",
        /// Its number within the application.
        exec_id: i32 = "execId",
        /// Its memory, in MiB.
        memory_mb: i32 = "memoryMb",
        /// The number of its resource profile.
        rp_id: i32 = "rpId",
        /// Its application.
        app_id: String = "appId",
        /// Its state.
        state: ExecutorState = "state",
    }
}
