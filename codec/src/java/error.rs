//! Errors of reading and of writing a stream.

/// Bytes that are not a serialised stream, or one beyond the limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of the Java stream: {kind}")]
pub struct ReadError {
    /// How many bytes had been read.
    pub at: usize,
    /// The violated rule.
    pub kind: ReadErrorKind,
}

/// The rule that a stream violates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// The stream does not begin as one.
    #[error("begins with {found:08x} instead of aced0005")]
    NoStream {
        /// The first four bytes.
        found: u32,
    },
    /// The bytes end too early.
    #[error("{need} bytes are needed where {left} are left")]
    Truncated {
        /// The bytes needed at least.
        need: usize,
        /// The bytes that there are.
        left: usize,
    },
    /// A limit of this side.
    #[error("{name} is {limit}, and the stream has {value}")]
    BeyondLimit {
        /// The field of [`Limits`](super::Limits).
        name: &'static str,
        /// The stream's value.
        value: usize,
        /// The limit.
        limit: usize,
    },
    /// A type code that cannot stand where it stands.
    #[error("type code {code:02x} where {expected} is expected")]
    Code {
        /// The code.
        code: u8,
        /// A description of the expected value.
        expected: &'static str,
    },
    /// A handle that was never given, or whose class is not complete yet.
    #[error("back reference {handle:08x} to nothing")]
    NoHandle {
        /// The handle.
        handle: u32,
    },
    /// A back reference to something of the wrong sort.
    #[error("back reference {handle:08x} to something that is not {expected}")]
    WrongHandle {
        /// The handle.
        handle: u32,
        /// A description of the expected value.
        expected: &'static str,
    },
    /// A text that is not modified UTF-8.
    #[error("text that is not modified UTF-8")]
    NotModifiedUtf8,
    /// A length or a count below 0.
    #[error("the length {len}")]
    NegativeLen {
        /// The length.
        len: i32,
    },
    /// A class descriptor that Java does not write either.
    #[error("class {class}: {what}")]
    Class {
        /// The class.
        class: String,
        /// The violated rule.
        what: &'static str,
    },
    /// The writer failed in the middle of an object, and says so in the stream.
    #[error("the peer gave up writing: {class}: {message}")]
    Aborted {
        /// The class of its exception.
        class: String,
        /// The message of its exception.
        message: String,
    },
}

/// A tree that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A limit of this side.
    #[error("{name} is {limit}, and the tree has {value}")]
    BeyondLimit {
        /// The field of [`Limits`](super::Limits).
        name: &'static str,
        /// The tree's value.
        value: usize,
        /// The limit.
        limit: usize,
    },
    /// A node that refers to a node of the wrong sort, or to none of its tree.
    #[error("a node that is not {expected}")]
    WrongNode {
        /// A description of the expected node.
        expected: &'static str,
    },
    /// The data of an object or array do not fit its class.
    #[error("object of class {class}: {what}")]
    Misfit {
        /// The class.
        class: String,
        /// The violated rule.
        what: &'static str,
    },
    /// A name that is longer than its length field can say.
    #[error("a name of {len} bytes; a name has at most 65535")]
    NameTooLong {
        /// Its length.
        len: usize,
    },
}
