//! The table: every key that there is, in one file per family.
//!
//! [`all`] lists them by family. [`index`] finds what is known of a key by its name; it is built once
//! from the table and serves reading, warnings and suggestions.

mod table;

pub mod block;
pub mod network;
pub mod rpc;
pub mod spark;
pub mod transport;

pub(super) use table::{default_value, index};

use super::entry::AnyEntry;

/// Keys that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// What they are about: a heading.
    pub title: &'static str,
    /// What has to be known about all of them, in Markdown.
    pub doc: &'static str,
    /// The keys.
    pub entries: &'static [&'static dyn AnyEntry],
}

/// The whole table.
pub fn all() -> &'static [Family] {
    &FAMILIES
}

/// The entry of a key.
pub fn find(key: &str) -> Option<&'static dyn AnyEntry> {
    index().entry(key)
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
        pub(super) static ENTRIES: &[&dyn $crate::conf::AnyEntry] = &[$(&$name),+];
    };
}
use entries;

static FAMILIES: [Family; 4] = [
    Family {
        title: "All of it",
        doc: "What more than one layer uses.",
        entries: network::ENTRIES,
    },
    Family {
        title: "Endpoints and their messages",
        doc: "",
        entries: rpc::ENTRIES,
    },
    Family {
        title: "Transport",
        doc: "Numbers of memory and connections are *per shard*.",
        entries: transport::ENTRIES,
    },
    Family {
        title: "Blocks",
        doc: "",
        entries: block::ENTRIES,
    },
];
