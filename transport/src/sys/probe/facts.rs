//! Readings of what the kernel tells as text, and of its error numbers.

use std::fmt;

use rustix::io::Errno;

/// A kernel version, as far as features depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelVersion {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl KernelVersion {
    /// Reads a release string such as `6.1.0-18-amd64`.
    ///
    /// # Example
    ///
    /// ```
    /// use ringrail_transport::sys::probe::KernelVersion;
    ///
    /// let version = KernelVersion::parse("6.1.0-18-amd64").unwrap();
    /// assert!(version < KernelVersion { major: 6, minor: 12 });
    /// ```
    pub fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        Some(Self {
            major: numbers.next()?.parse().ok()?,
            minor: numbers.next()?.parse().ok()?,
        })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The value of `key` in a text of `Key:\tvalue` lines, as `/proc/self/status`.
pub(super) fn status_field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found == key).then(|| value.trim())
    })
}

/// The last of the numbers in `tcp_rmem` and `tcp_wmem`: how far the kernel's own
/// tuning goes, in bytes.
pub(super) fn last_number(text: &str) -> Option<u64> {
    text.split_whitespace().last()?.parse().ok()
}

/// An error number with its meaning.
pub(super) fn describe(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}

pub(super) const ENOSYS: i32 = Errno::NOSYS.raw_os_error();
pub(super) const EPERM: i32 = Errno::PERM.raw_os_error();
pub(super) const ENOMEM: i32 = Errno::NOMEM.raw_os_error();
pub(super) const EMFILE: i32 = Errno::MFILE.raw_os_error();

/// A number of bytes in the largest binary unit that shows it exactly, or nearly.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..0x1_0000 => format!("{count} B"),
        0x1_0000..0x100_0000 => format!("{} KiB", count.div_ceil(1 << 10)),
        _ => format!("{} MiB", count.div_ceil(1 << 20)),
    }
}
