//! Resources beside cores and memory, and profiles of what executors and tasks need.

use crate::java::Value;
use crate::spark::rpc::convert::record;
use crate::spark::rpc::{Builder, ConvertError, JavaArray, JavaValue, Map, Reader};

record! {
    "org.apache.spark.resource.ResourceInformation"
    /// Addresses of a resource, such as the numbers of GPUs.
    ResourceInformation {
        /// The addresses.
        addresses: JavaArray<String> = "addresses",
        /// The resource's name.
        name: String = "name",
    }

    "org.apache.spark.resource.ResourceRequirement"
    /// How much of a resource a driver needs.
    ResourceRequirement {
        /// The amount.
        amount: i32 = "amount",
        /// Into how many parts each address is divided.
        num_parts: i32 = "numParts",
        /// The resource's name.
        resource_name: String = "resourceName",
    }

    "org.apache.spark.resource.ExecutorResourceRequest"
    /// How much of a resource an executor needs.
    ExecutorResourceRequest {
        /// The amount; of memory in MiB.
        amount: i64 = "amount",
        /// The script that finds the resource's addresses.
        discovery_script: String = "discoveryScript",
        /// The resource's name.
        resource_name: String = "resourceName",
        /// The resource's vendor.
        vendor: String = "vendor",
    }

    "org.apache.spark.resource.TaskResourceRequest"
    /// How much of a resource a task needs.
    TaskResourceRequest {
        /// The amount, less than 1 for a share.
        amount: f64 = "amount",
        /// The resource's name.
        resource_name: String = "resourceName",
    }

    "org.apache.spark.resource.ResourceProfile"
    /// The needs of a stage's executors and tasks.
    ResourceProfile {
        /// Whether the limiting resource may be cores.
        cores_limit_known: bool = "_coresLimitKnown",
        /// Its number; 0 is the application's default.
        id: i32 = "_id",
        /// How many tasks share an address, by resource. Computed by the driver.
        executor_resource_slots_per_addr: Option<Map<String, i32>> = "_executorResourceSlotsPerAddr",
        /// The resource that limits the number of tasks. Computed by the driver.
        limiting_resource: Option<String> = "_limitingResource",
        /// How many tasks an executor runs at once. Computed by the driver.
        max_tasks_per_executor: Option<i32> = "_maxTasksPerExecutor",
        /// The needs of an executor, by resource.
        executor_resources: Map<String, ExecutorResourceRequest> = "executorResources",
        /// The needs of a task, by resource.
        task_resources: Map<String, TaskResourceRequest> = "taskResources",
    }
}

/// The profile of tasks alone, which has the same fields.
const TASK_RESOURCE_PROFILE: &str = "org.apache.spark.resource.TaskResourceProfile";

/// Takes a profile of tasks alone too, and writes it as a whole profile: only drivers tell them apart.
impl JavaValue for ResourceProfile {
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
        let object = reader.object(value, Self::CLASS)?;
        if object.is(Self::CLASS) || object.is(TASK_RESOURCE_PROFILE) {
            return Self::of_fields(object);
        }
        Err(reader.wrong_class(value, Self::CLASS))
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
        self.write_as(Self::CLASS, builder)
    }
}
