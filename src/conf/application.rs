//! Settings of a Spark application by name, and settings that its executors need before they
//! connect.

use super::error::ConfError;
use super::map::Conf;

/// Prefix of the keys that set environment variables of executors.
const EXECUTOR_ENV: &str = "spark.executorEnv.";

/// The shared secret; executors get it by another channel.
const SECRET: &str = "spark.authenticate.secret";

impl Conf {
    /// Sets `spark.master`: the master to connect to.
    pub fn set_master(&mut self, master: &str) -> &mut Self {
        self.set("spark.master", master)
    }

    /// Sets `spark.app.name`.
    pub fn set_app_name(&mut self, name: &str) -> &mut Self {
        self.set("spark.app.name", name)
    }

    /// Sets `spark.jars`, with commas between.
    pub fn set_jars<'a>(&mut self, jars: impl IntoIterator<Item = &'a str>) -> &mut Self {
        let jars: Vec<_> = jars.into_iter().collect();
        self.set("spark.jars", jars.join(","))
    }

    /// Sets `spark.home`: where Spark is on the workers.
    pub fn set_spark_home(&mut self, home: &str) -> &mut Self {
        self.set("spark.home", home)
    }

    /// Sets a variable of the environment in which executors are started.
    pub fn set_executor_env(&mut self, variable: &str, value: &str) -> &mut Self {
        self.set(format!("{EXECUTOR_ENV}{variable}"), value)
    }

    /// The variables of the environment in which executors are started.
    pub fn get_executor_env(&self) -> Vec<(String, String)> {
        self.get_all_with_prefix(EXECUTOR_ENV)
    }

    /// `spark.app.id`, which an application has once it is registered.
    ///
    /// # Errors
    /// It is not set.
    pub fn get_app_id(&self) -> Result<String, ConfError> {
        self.get("spark.app.id")
    }

    /// The settings that an executor needs before it connects; it receives the rest afterwards
    /// (Spark:
    /// `isExecutorStartupConf`). Excludes secrets and passwords.
    pub fn executor_startup(&self) -> Conf {
        let mut startup = Conf::new();
        let needed = self.iter().filter(|(key, _)| is_executor_startup_key(key));
        startup.copy(needed);
        startup
    }
}

/// Whether an executor must know the value of this key before it is connected.
pub fn is_executor_startup_key(key: &str) -> bool {
    let secret = key == SECRET || key.to_ascii_lowercase().ends_with("password");
    let prefixes = [
        "spark.auth",
        "spark.ssl",
        "spark.rpc",
        "spark.network",
        "spark.port.",
        "ringrail.rpc.",
        "ringrail.network.",
        "ringrail.transport.",
        "ringrail.port.",
    ];
    let port = key.starts_with("spark.") && key.ends_with(".port");
    !secret && (port || prefixes.iter().any(|prefix| key.starts_with(prefix)))
}
