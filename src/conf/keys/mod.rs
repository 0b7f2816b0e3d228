//! The table: every key that there is, in one file per family.
//!
//! [`all`] lists them by family. The index finds what is known of a key by its name; it is built once
//! from the table and serves reading, warnings and suggestions.

mod table;

#[cfg(feature = "block")]
pub mod block;
pub mod network;
pub mod rpc;
pub mod shuffle;
pub mod spark;
pub mod transport;
pub mod wire;

pub(super) use table::index;

use super::alternate::Alternate;
use super::entry::AnyEntry;

/// Keys that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The subject of the keys, as a heading.
    pub title: &'static str,
    /// Notes that apply to all of them, in Markdown.
    pub doc: &'static str,
    /// The keys.
    pub entries: &'static [&'static dyn AnyEntry],
}

/// The whole table; without the feature `block` it lacks the keys of blocks.
pub fn all() -> &'static [Family] {
    FAMILIES
}

/// The entry of a key.
pub fn find(key: &str) -> Option<&'static dyn AnyEntry> {
    index().entry(key)
}

/// The names under which a key that is not set is looked for, those of other names included, in their
/// order.
pub fn other_names(key: &str) -> Vec<&'static Alternate> {
    let mut names = Vec::new();
    for other in index().alternates(key) {
        names.push(other);
        names.extend(other_names(other.key));
    }
    names
}

/// The keys that are looked for under this one where they are not set themselves: what setting it
/// sets.
pub fn set_by(key: &str) -> Vec<&'static str> {
    let entries = all().iter().flat_map(|family| family.entries);
    let readers = entries.filter(|entry| entry.alternates().iter().any(|other| other.key == key));
    readers.map(|entry| entry.key()).collect()
}

/// The known key that is written most like `key`, if any is near enough to be meant.
pub fn nearest(key: &str) -> Option<&'static str> {
    index().nearest(key)
}

/// Statics with their rustdoc, which is the key's meaning in the table as well; `ENTRIES` lists them.
macro_rules! entries {
    ($($(#[doc = $doc:literal])+ $name:ident: $value:ty = $key:expr, $entry:expr;)+) => {
        $(
            $(#[doc = $doc])+
            #[doc = ""]
            #[doc = concat!("`", $key, "`")]
            pub static $name: $crate::conf::ConfigEntry<$value> =
                $entry.named($key, concat!($($doc, "\n"),+));
        )+

        /// All of them.
        pub(in crate::conf::keys) static ENTRIES: &[&dyn $crate::conf::AnyEntry] = &[$(&$name),+];
    };
}
use entries;

static FAMILIES: &[Family] = &[
    Family {
        title: "For all layers",
        doc: "",
        entries: network::ENTRIES,
    },
    Family {
        title: "Endpoints and their messages",
        doc: "",
        entries: rpc::ENTRIES,
    },
    Family {
        title: "Transport",
        doc: "Numbers of memory and of connections are *per shard*. What a peer learns travels in the \
              handshake; [wire-format.md](wire-format.md) has the limits frame by frame.",
        entries: transport::ENTRIES,
    },
    #[cfg(feature = "block")]
    Family {
        title: "Blocks",
        doc: "[blocks.md](blocks.md) tells what happens at these bounds.",
        entries: block::ENTRIES,
    },
    Family {
        title: "Shuffle service",
        doc: "[spark-shuffle-service.md](spark-shuffle-service.md) tells how it is run.",
        entries: shuffle::ENTRIES,
    },
    Family {
        title: "Spark's wire protocol",
        doc: "What a peer that speaks it may send; [spark-wire.md](spark-wire.md) has the frames.",
        entries: wire::ENTRIES,
    },
    Family {
        title: "Spark's keys: network, fetching, shuffle servers",
        doc: "",
        entries: spark::global::ENTRIES,
    },
    Family {
        title: "Spark's keys: shuffle service",
        doc: "",
        entries: spark::service::ENTRIES,
    },
    Family {
        title: "Spark's keys: endpoints",
        doc: "",
        entries: spark::rpc::ENTRIES,
    },
    Family {
        title: "Spark's keys: module `rpc`",
        doc: "",
        entries: spark::modules::rpc::ENTRIES,
    },
    Family {
        title: "Spark's keys: module `shuffle`",
        doc: "",
        entries: spark::modules::shuffle::ENTRIES,
    },
    Family {
        title: "Spark's keys: module `files`",
        doc: "Files travel on the connections of `rpc`, with the settings of those, so nothing comes of these.",
        entries: spark::modules::files::ENTRIES,
    },
    Family {
        title: "Spark's keys: authentication and encryption",
        doc: "The shuffle service has what Spark's has, but TLS and SASL's own encryption. Everything else has neither \
              yet ([security.md](security.md)), so there turning one on is an error.",
        entries: spark::authentication::ENTRIES,
    },
];
