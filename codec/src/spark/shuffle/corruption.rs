//! Messages that look for the cause of a corrupt block.

use super::message::message;
use crate::spark::FieldError;
use crate::spark::wire::{Field, Fields, Writer};

message! {
    /// Asks where a block went bad, given what a reader has computed. Answered by [`CorruptionCause`].
    DiagnoseCorruption<'a> {
        /// The application.
        app_id: &'a str,
        /// The executor that has written the block.
        exec_id: &'a str,
        /// The shuffle.
        shuffle_id: i32,
        /// The map (id of a task attempt).
        map_id: i64,
        /// The partition.
        reduce_id: i32,
        /// The checksum that the reader has computed.
        checksum: i64,
        /// Of which kind: `ADLER32`, `CRC32` or `CRC32C`.
        algorithm: &'a str,
    }
}

message! {
    /// The diagnosed cause of a corrupt block.
    CorruptionCause {
        /// The cause.
        cause: Cause,
    }
}

/// The stage at which a block became corrupt; Spark's `Cause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// The file is not what was written.
    DiskIssue = 0,
    /// The file is good: the way to the reader was not.
    NetworkIssue = 1,
    /// It cannot be told.
    UnknownIssue = 2,
    /// File, checksum and reader agree: the block is as it was written.
    ChecksumVerifyPass = 3,
    /// The kind of checksum is not known.
    UnsupportedChecksumAlgorithm = 4,
}

impl Cause {
    /// Every cause, in the order of its number.
    pub const ALL: [Cause; 5] = [
        Cause::DiskIssue,
        Cause::NetworkIssue,
        Cause::UnknownIssue,
        Cause::ChecksumVerifyPass,
        Cause::UnsupportedChecksumAlgorithm,
    ];
}

impl<'a> Field<'a> for Cause {
    fn wire_len(&self) -> usize {
        1
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.put(&(*self as u8));
    }

    fn read(name: &'static str, fields: &mut Fields<'a>) -> Result<Self, FieldError> {
        super::one_of(name, &Self::ALL, "0 to 4", fields)
    }
}
