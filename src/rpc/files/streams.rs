//! Streams of an env's connections: its files, by name.

use std::sync::Arc;

use ringrail_codec::native::FailureCode;
use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::server::StreamManager;
use ringrail_transport::{Connection, RpcFailure};

use crate::rpc::shared::EnvShared;

/// Gives out the files of an env.
pub(crate) struct FileStreams {
    env: Arc<EnvShared>,
}

impl FileStreams {
    pub(crate) fn new(env: Arc<EnvShared>) -> Self {
        Self { env }
    }
}

impl StreamManager for FileStreams {
    fn get_chunk(
        &self,
        _from: &Connection,
        stream_id: u64,
        _index: u32,
    ) -> Result<ManagedBuffer, RpcFailure> {
        Err(RpcFailure::new(
            FailureCode::Unsupported,
            format!(
                "an RPC environment serves no chunks, only files by name: no stream {stream_id}"
            ),
        ))
    }

    fn open_stream(
        &self,
        _from: &Connection,
        name: &str,
    ) -> Result<Option<ManagedBuffer>, RpcFailure> {
        let opened = self.env.files.open(name);
        let sized = opened.and_then(|file| {
            file.map(|file| ManagedBuffer::whole_file(Arc::new(file)))
                .transpose()
        });
        sized.map_err(|error| {
            let text = format!("{name} cannot be opened");
            RpcFailure::new(FailureCode::SourceIo, text).caused_by(error)
        })
    }
}
