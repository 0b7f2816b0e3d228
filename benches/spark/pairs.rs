//! The measured pairs of servers and clients.

use ringrail_floors::workload::{Source, Work, Workload};

/// A server and a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) server: Server,
    pub(crate) client: Client,
}

/// The server of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Spark,
    Ringrail,
    /// Bare sockets: bodies by a gathered send from memory or from the mapped file.
    Floor,
    /// Bare sockets: bodies by sendfile.
    Sendfile,
}

/// The client of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Spark,
    Ringrail,
    Floor,
}

impl Pair {
    /// Every pair that can do this work, what others are compared with first.
    pub(crate) fn all(workload: &Workload) -> Vec<Self> {
        use {Client as C, Server as S};
        let pair = |(server, client)| Self { server, client };
        let mut pairs: Vec<_> = [
            (S::Spark, C::Spark),
            (S::Ringrail, C::Spark),
            (S::Floor, C::Spark),
            (S::Spark, C::Ringrail),
            (S::Ringrail, C::Ringrail),
            (S::Floor, C::Floor),
        ]
        .map(pair)
        .into();
        let file = Source::File {
            path: Default::default(),
            bytes: 0,
        };
        if let Work::Chunks { source, .. } = &workload.work
            && std::mem::discriminant(source) == std::mem::discriminant(&file)
        {
            pairs.extend([(S::Sendfile, C::Spark), (S::Sendfile, C::Floor)].map(pair));
        }
        pairs
    }

    /// Whether it is a floor on both sides.
    pub(crate) fn is_floor(self) -> bool {
        self.client == Client::Floor
    }

    /// The name in tables: `server < client`.
    pub(crate) fn name(self) -> String {
        let server = match self.server {
            Server::Spark => "Spark",
            Server::Ringrail => "ringrail",
            Server::Floor => "floor",
            Server::Sendfile => "sendfile",
        };
        let client = match self.client {
            Client::Spark => "Spark",
            Client::Ringrail => "ringrail",
            Client::Floor => "floor",
        };
        format!("{server} < {client}")
    }
}
