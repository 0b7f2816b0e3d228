//! Installation of a version of Spark, and the start of its programs.

use crate::error::SparkError;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A version of Spark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The last of 3.x.
    V3_5,
    /// The newest of 4.x.
    V4_1,
}

impl Version {
    /// Its name below `RINGRAIL_SPARK`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V3_5 => "3.5",
            Self::V4_1 => "4.1",
        }
    }
}

/// Options that Spark's own launchers give Java 17: without them Netty falls back to slower
/// buffers.
const JAVA_OPTIONS: [&str; 8] = [
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/sun.security.action=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.misc=ALL-UNNAMED",
];

/// One version of Spark, as `.ci/spark` sets it up.
#[derive(Clone, Debug)]
pub struct Install {
    version: Version,
    root: PathBuf,
}

impl Install {
    /// The version below the directory that `RINGRAIL_SPARK` names.
    ///
    /// # Errors
    /// [`SparkError::NotInstalled`] if it is not there.
    pub fn find(version: Version) -> Result<Self, SparkError> {
        let root = env::var_os("RINGRAIL_SPARK").unwrap_or_else(|| "target/spark".into());
        let root = Path::new(&root).join(version.name());
        if root.join("classes/stamp").is_file() && root.join("pyspark/jars").is_dir() {
            Ok(Self { version, root })
        } else {
            Err(SparkError::NotInstalled {
                version: version.name(),
                path: root.display().to_string(),
            })
        }
    }

    /// The version of Spark.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The directory that Spark calls its home.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.root.join("pyspark")
    }

    /// The Python that has this version of PySpark.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.root.join("venv/bin/python")
    }

    /// The peers' classes, among them the master `local-push-cluster`.
    #[must_use]
    pub fn classes(&self) -> PathBuf {
        self.root.join("classes")
    }

    /// A Java process of `class`, with this version's jars and the peers' classes.
    #[must_use]
    pub fn java(&self, class: &str, options: &[&str]) -> Command {
        let classes = self.classes();
        let jars = self.home().join("jars");
        let mut command = Command::new("java");
        command
            .args(JAVA_OPTIONS)
            .args(options)
            .arg("-cp")
            .arg(format!("{}:{}/*", classes.display(), jars.display()))
            .arg(class);
        command
    }
}
