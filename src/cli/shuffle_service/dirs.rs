//! The service's local directories, found as Spark finds them (`Utils.getConfiguredLocalDirs`).

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use ringrail::Conf;
use ringrail::conf::keys::shuffle;

use crate::cli::failure::Failure;

/// Goes over `spark.local.dir`.
const VARIABLE: &str = "SPARK_LOCAL_DIRS";

/// Those of the command line, else of the variable, else of the configuration. Missing directories are created;
/// a directory that cannot be created is left out with an error in the log, as in Spark.
///
/// # Errors
/// None can be used.
pub(super) fn local_dirs(given: &[PathBuf], conf: &Conf) -> Result<Vec<PathBuf>, Failure> {
    let dirs = named(given, std::env::var(VARIABLE).ok(), conf)?;
    let usable: Vec<PathBuf> = dirs.iter().filter(|dir| usable(dir)).cloned().collect();
    if usable.is_empty() {
        let text = "none of the local directories can be used";
        return Err(anyhow!("{text}: {dirs:?} (--local-dir, {VARIABLE}, spark.local.dir)").into());
    }
    Ok(usable)
}

fn named(
    given: &[PathBuf],
    variable: Option<String>,
    conf: &Conf,
) -> Result<Vec<PathBuf>, Failure> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let text = variable.filter(|text| !text.trim().is_empty());
    let names = match text {
        Some(text) => text.split(',').map(str::to_owned).collect(),
        None => conf.get_entry(&shuffle::LOCAL_DIRS)?,
    };
    let names = names.iter().map(|name| name.trim());
    Ok(names
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .collect())
}

fn usable(dir: &Path) -> bool {
    let made = std::fs::create_dir_all(dir);
    if let Err(error) = &made {
        tracing::error!(dir = %dir.display(), %error, "a local directory is left out");
    }
    made.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_go_over_the_variable_that_over_the_configuration() {
        let conf = Conf::new().with("spark.local.dir", "/c/a, /c/b");
        let found = |given: &[&str], variable: Option<&str>, conf: &Conf| {
            let given: Vec<_> = given.iter().map(PathBuf::from).collect();
            let dirs = named(&given, variable.map(str::to_owned), conf).unwrap();
            dirs.iter()
                .map(|dir| dir.display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&["/x,y"], Some("/v"), &conf), ["/x,y"]);
        assert_eq!(found(&[], Some(" /v/a,/v/b "), &conf), ["/v/a", "/v/b"]);
        assert_eq!(found(&[], Some(" "), &conf), ["/c/a", "/c/b"]);
        assert_eq!(found(&[], None, &conf), ["/c/a", "/c/b"]);
        assert_eq!(found(&[], None, &Conf::new()), ["/tmp"]);
    }

    #[test]
    fn what_cannot_be_made_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let (bad, good) = (dir.path().join("file/x"), dir.path().join("new/dir"));
        let usable = local_dirs(&[bad.clone(), good.clone()], &Conf::new()).unwrap();
        assert!(good.is_dir());
        assert_eq!(usable, [good]);
        assert!(local_dirs(&[bad], &Conf::new()).is_err());
    }
}
