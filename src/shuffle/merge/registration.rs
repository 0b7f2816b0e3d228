//! The merge directories of an application, parsed from an executor's shuffle manager string.
//!
//! Spark writes `<class>:{"mergeDir": "merge_manager_1", "attemptId": "1"}`. The directory is a sibling of
//! each of the executor's own directories.

use std::collections::HashMap;
use std::path::{Component, Path};

use ringrail_codec::spark::shuffle::RegisterExecutor;

use super::super::block::is_part_of_a_name;
use super::super::error::ShuffleError;
use super::super::resolve::Layout;
use super::super::roots::LocalRoots;

/// The attempt of applications that name none.
pub(super) const NO_ATTEMPT: i32 = -1;

/// The merge directories of one attempt of an application.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) attempt: i32,
    pub(super) layout: Layout,
    /// The directories, as the executors registered them.
    pub(super) dirs: Vec<String>,
}

impl Registration {
    /// Parses it; `None` if the executor has none.
    ///
    /// # Errors
    /// A directory or an id that could lead elsewhere, or that is not one.
    pub(super) fn of(
        message: &RegisterExecutor<'_>,
        roots: &LocalRoots,
    ) -> Result<Option<Self>, ShuffleError> {
        let Some((_, json)) = message.shuffle_manager.split_once(':') else {
            return Ok(None);
        };
        // Spark writes two braces too many behind it, which its own reader does not look at.
        let mut said = serde_json::Deserializer::from_str(json).into_iter();
        let fields: HashMap<String, String> = match said.next() {
            Some(Ok(fields)) => fields,
            None => return Ok(None),
            Some(Err(error)) => {
                tracing::warn!(
                    target: "ringrail::shuffle", app = message.app_id, %error,
                    "an executor that says wrongly where blocks are merged"
                );
                return Ok(None);
            }
        };
        let bad = |rule| ShuffleError::BadMergeDir {
            what: "the merge directory of application",
            app: message.app_id.to_owned(),
            rule,
        };
        let dir = fields.get("mergeDir").ok_or_else(|| bad("it is missing"))?;
        if !is_one_name(dir) {
            return Err(bad(
                "it is the name of a directory beside the executor's own",
            ));
        }
        if !is_part_of_a_name(message.app_id) {
            return Err(bad("the application's id can be part of a file's name"));
        }
        let attempt = fields.get("attemptId").map(|id| id.parse().ok());
        let attempt = attempt.unwrap_or(Some(NO_ATTEMPT));
        let attempt = attempt.ok_or_else(|| bad("its attempt is a number"))?;
        let sub_dirs = usize::try_from(message.sub_dirs_per_local_dir).ok();
        let sub_dirs = sub_dirs.filter(|sub_dirs| *sub_dirs > 0);
        let dirs = message.local_dirs.iter().map(|local| beside(local, dir));
        let dirs: Option<Vec<String>> = dirs.collect();
        let dirs = dirs.filter(|dirs| !dirs.is_empty());
        let (Some(dirs), Some(sub_dirs)) = (dirs, sub_dirs) else {
            return Err(bad("the executor has directories"));
        };
        let places = dirs.iter().map(|dir| roots.local_dir(dir));
        let layout = Layout {
            dirs: places.collect::<Result<_, _>>()?,
            sub_dirs,
        };
        Ok(Some(Self {
            attempt,
            layout,
            dirs,
        }))
    }
}

fn is_one_name(dir: &str) -> bool {
    let mut parts = Path::new(dir).components();
    let one = matches!(parts.next(), Some(Component::Normal(name)) if name == dir);
    one && parts.next().is_none() && is_part_of_a_name(dir)
}

fn beside(local: &str, dir: &str) -> Option<String> {
    let path = Path::new(local).parent()?.join(dir);
    Some(path.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(app: &str, manager: &str) -> Result<Option<(i32, Vec<String>)>, String> {
        let dir = tempfile::tempdir().unwrap();
        let roots = LocalRoots::open(&[dir.path().to_owned()]).unwrap();
        let local = dir.path().join("a/blockmgr-1").to_str().unwrap().to_owned();
        let local = [local];
        let message = RegisterExecutor {
            app_id: app,
            exec_id: "1",
            local_dirs: (&local[..]).into(),
            sub_dirs_per_local_dir: 64,
            shuffle_manager: manager,
        };
        let read = Registration::of(&message, &roots).map_err(|error| error.to_string())?;
        let root = dir.path().to_str().unwrap().to_owned();
        Ok(read.map(|it| {
            let dirs = it.dirs.iter().map(|dir| dir.replace(&root, ""));
            (it.attempt, dirs.collect())
        }))
    }

    #[test]
    fn the_merge_directory_lies_beside_the_executors() {
        let found = read(
            "app",
            r#"x.Sort:{"mergeDir": "merge_manager_3", "attemptId": "3"}"#,
        );
        assert_eq!(
            found,
            Ok(Some((3, vec![String::from("/a/merge_manager_3")])))
        );
        let found = read("app", r#"x.Sort:{"mergeDir":"merge_manager"}"#);
        assert_eq!(
            found,
            Ok(Some((-1, vec![String::from("/a/merge_manager")])))
        );
        let found = read("app", r#"x.Sort:{"mergeDir":"m","attemptId":"1"}}}"#);
        assert_eq!(found, Ok(Some((1, vec![String::from("/a/m")]))));
        assert_eq!(read("app", "x.Sort"), Ok(None));
        assert_eq!(read("app", "x.Sort:{"), Ok(None));
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for dir in [
            "", ".", "..", "../x", "/etc", "a/b", "a/", "./a", "a\\u0000",
        ] {
            let manager = format!(r#"x:{{"mergeDir":"{dir}"}}"#);
            assert!(read("app", &manager).is_err(), "{dir}");
        }
        for app in ["", "../app", "a/b", &"x".repeat(129)] {
            assert!(read(app, r#"x:{"mergeDir":"m"}"#).is_err(), "{app}");
        }
        assert!(read("app", r#"x:{"attemptId":"1"}"#).is_err());
        assert!(read("app", r#"x:{"mergeDir":"m","attemptId":"one"}"#).is_err());
    }
}
