//! Java object serialisation without Java: streams read into trees, and trees written as streams.
//!
//! Spark's processes say everything about a cluster in serialised Java objects. A stream describes itself,
//! so a reader needs no knowledge of a class to read its objects: [`Tree::read`] gives the objects, arrays,
//! texts and class descriptors of a stream as nodes of an arena, and back references as the number of a
//! node, cycles included. No class is ever loaded or chosen by its name, and nothing is run: the tree is
//! data. [`Limits`] bound depth, number and size of all that a stream can announce.
//!
//! [`Tree::write`] writes a tree in Java's own form, so a stream of Java's, read and written again, has the
//! same bytes. [`Tree::graft`] copies a part of one tree into another: whoever passes on an object that it
//! does not know keeps it as it came. Objects of our own are made with the class descriptors of a
//! [`Profile`], the table of the classes of one version.
//!
//! Data flows from the envelope of an RPC (`spark::rpc`) through here to the typed messages above, and back.
//!
//! ```
//! use ringrail_codec::java::{Limits, Node, Tree};
//! let bytes = b"\xac\xed\x00\x05\x74\x00\x06Master";
//! let tree = Tree::read(bytes, &Limits::DEFAULT)?;
//! let object = tree.object().expect("one object").expect("not null");
//! assert!(matches!(tree.node(object), Node::Text(text) if text.is("Master")));
//! let mut again = Vec::new();
//! tree.write(&Limits::DEFAULT, &mut again)?;
//! assert_eq!(again, bytes);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod graft;
mod limits;
mod node;
mod profile;
mod read;
mod text;
mod tree;
mod write;

pub use error::{ReadError, ReadErrorKind, WriteError};
pub use limits::{LimitError, Limits};
pub use node::{
    Array, Class, Content, Elements, Field, FieldKind, FieldValue, Flags, Item, Level, Node,
    NodeId, Object, Proxy, Value,
};
pub use profile::{Profile, ProfileClass, ProfileError, ProfileField};
pub use text::Text;
pub use tree::Tree;

/// The codes of the stream (`TC_…` of `java.io.ObjectStreamConstants`).
mod code {
    pub(super) const NULL: u8 = 0x70;
    pub(super) const REFERENCE: u8 = 0x71;
    pub(super) const CLASS_DESC: u8 = 0x72;
    pub(super) const OBJECT: u8 = 0x73;
    pub(super) const STRING: u8 = 0x74;
    pub(super) const ARRAY: u8 = 0x75;
    pub(super) const CLASS: u8 = 0x76;
    pub(super) const BLOCK: u8 = 0x77;
    pub(super) const END: u8 = 0x78;
    pub(super) const RESET: u8 = 0x79;
    pub(super) const LONG_BLOCK: u8 = 0x7a;
    pub(super) const EXCEPTION: u8 = 0x7b;
    pub(super) const LONG_STRING: u8 = 0x7c;
    pub(super) const PROXY_CLASS_DESC: u8 = 0x7d;
    pub(super) const ENUM: u8 = 0x7e;
}

/// The magic number and the version in front of every stream.
const HEADER: u32 = 0xaced_0005;

/// The handle of the first thing that gets one.
const FIRST_HANDLE: u32 = 0x7e_0000;
