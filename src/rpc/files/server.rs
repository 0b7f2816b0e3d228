//! [`RpcEnvFileServer`]: what an env gives out.

use std::path::Path;
use std::sync::Arc;

use crate::rpc::RpcEnv;
use crate::rpc::file_table::{FileServerError, Shelf};
use crate::rpc::shared::EnvShared;
use crate::rpc::uri::escaped;

/// Files that an env gives out to others (Spark: `RpcEnvFileServer`). Made by
/// [`RpcEnv::file_server`].
///
/// Files are opened when they are asked for, so that what is fetched is what lies there then.
#[derive(Clone)]
pub struct RpcEnvFileServer {
    env: Arc<EnvShared>,
    url: String,
}

impl RpcEnv {
    /// The files that this env gives out.
    ///
    /// # Errors
    /// [`FileServerError::ClientMode`].
    ///
    /// ```
    /// # use ringrail::rpc::RpcEnv;
    /// # use std::io::{Read, Write};
    /// # let mut file = tempfile::NamedTempFile::new()?;
    /// # file.write_all(b"content")?;
    /// # let path = file.path();
    /// let env = RpcEnv::builder("giver").backend("local").build()?;
    /// let uri = env.file_server()?.add_file(path)?; // rail://127.0.0.1:49152/files/…
    ///
    /// let other = RpcEnv::builder("taker").backend("local").client_mode().build()?;
    /// let mut text = String::new();
    /// other.open_channel_blocking(&uri)?.read_to_string(&mut text)?;
    /// assert_eq!(text, "content");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn file_server(&self) -> Result<RpcEnvFileServer, FileServerError> {
        let env = Arc::clone(self.shared());
        match env.address().map(|address| address.url()) {
            Some(url) => Ok(RpcEnvFileServer { env, url }),
            None => Err(FileServerError::ClientMode {
                env: env.name().to_owned(),
            }),
        }
    }
}

impl RpcEnvFileServer {
    /// Gives out a file under its own name; its URI (Spark: `addFile`).
    ///
    /// # Errors
    /// There is no such file, or another one has the name.
    pub fn add_file(&self, path: impl AsRef<Path>) -> Result<String, FileServerError> {
        let path = path.as_ref();
        self.add(Shelf::Files, own_name(path)?, path)
    }

    /// Gives out a file under another name; its URI.
    ///
    /// # Errors
    /// There is no such file, or another one has the name.
    pub fn add_file_as(
        &self,
        name: &str,
        path: impl AsRef<Path>,
    ) -> Result<String, FileServerError> {
        self.add(Shelf::Files, name, path.as_ref())
    }

    /// Gives out a file of code under its own name; its URI (Spark: `addJar`).
    ///
    /// # Errors
    /// There is no such file, or another one has the name.
    pub fn add_jar(&self, path: impl AsRef<Path>) -> Result<String, FileServerError> {
        let path = path.as_ref();
        self.add(Shelf::Jars, own_name(path)?, path)
    }

    /// Gives out everything below a directory as `base/…`; the URI of `base` (Spark:
    /// `addDirectory`). Slashes around `base` do not count. No name leads outside the directory.
    ///
    /// # Errors
    /// There is no such directory, or the base is taken.
    pub fn add_directory(
        &self,
        base: &str,
        path: impl AsRef<Path>,
    ) -> Result<String, FileServerError> {
        let base = base.trim_matches('/');
        self.env.files.add_directory(base, path.as_ref())?;
        Ok(format!("{}/{}", self.url, escaped(base)))
    }

    /// No longer gives out a file; false where there is none of this name.
    pub fn remove_file(&self, name: &str) -> bool {
        self.env.files.remove(Shelf::Files, name)
    }

    /// No longer gives out a file of code; false where there is none of this name.
    pub fn remove_jar(&self, name: &str) -> bool {
        self.env.files.remove(Shelf::Jars, name)
    }

    /// No longer gives out a directory; false where there is none of this base.
    pub fn remove_directory(&self, base: &str) -> bool {
        self.env.files.remove_directory(base.trim_matches('/'))
    }

    fn add(&self, shelf: Shelf, name: &str, path: &Path) -> Result<String, FileServerError> {
        self.env.files.add(shelf, name, path)?;
        Ok(format!("{}/{}/{}", self.url, shelf.base(), escaped(name)))
    }
}

fn own_name(path: &Path) -> Result<&str, FileServerError> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| FileServerError::BadName {
        name: path.display().to_string(),
    })
}

debug_text!(RpcEnvFileServer, |this| "RpcEnvFileServer({})", this.url);
