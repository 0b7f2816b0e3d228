//! Files: real ones, on a disk whose page cache is simulated.
//!
//! The seed decides which parts are cached at first; a part that was read stays cached.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::sys::driver::OpKey;

use super::host::{HostId, Work};
use super::queue::Event;
use super::rng::{mix, unit};
use super::world::World;

/// Size of the unit that is read and cached together, in bytes.
const PART_LEN: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct Disk {
    seed: u64,
    /// Device and inode, in the order of first use: inode numbers are not the seed's.
    files: Vec<(u64, u64)>,
    read: HashSet<(usize, u64)>,
    pub(super) cold_sends: u64,
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed: mix(seed),
            files: Vec::new(),
            read: HashSet::new(),
            cold_sends: 0,
        }
    }

    fn number_of(&mut self, file: &File) -> io::Result<(usize, u64)> {
        let metadata = file.metadata()?;
        let id = (metadata.dev(), metadata.ino());
        let known = self.files.iter().position(|other| *other == id);
        let number = known.unwrap_or_else(|| {
            self.files.push(id);
            self.files.len() - 1
        });
        Ok((number, metadata.len()))
    }

    /// How many bytes from `offset` are in memory, of `len` at most and up to the file's end.
    fn warm_len(&mut self, file: &File, offset: u64, len: usize, cold: f64) -> io::Result<usize> {
        let (number, size) = self.number_of(file)?;
        let end = size.min(offset.saturating_add(len as u64));
        let mut at = offset;
        while at < end && self.is_warm(number, at / PART_LEN, cold) {
            at = (at / PART_LEN + 1) * PART_LEN;
        }
        Ok(at.min(end).saturating_sub(offset) as usize)
    }

    fn is_warm(&self, file: usize, part: u64, cold: f64) -> bool {
        let luck = mix(self.seed ^ mix(part ^ (file as u64) << 40));
        cold <= 0.0 || self.read.contains(&(file, part)) || unit(luck) >= cold
    }

    /// True where everything that exists of the range is in memory.
    pub(super) fn is_resident(&mut self, file: &File, offset: u64, len: usize, cold: f64) -> bool {
        let warm = self.warm_len(file, offset, len, cold);
        match (warm, self.number_of(file)) {
            (Ok(warm), Ok((_, size))) => warm as u64 >= size.saturating_sub(offset).min(len as u64),
            _ => false,
        }
    }

    pub(super) fn read_resident(
        &mut self,
        file: &File,
        offset: u64,
        into: &mut [u8],
        cold: f64,
    ) -> io::Result<usize> {
        let warm = self.warm_len(file, offset, into.len(), cold)?;
        if warm == 0 && !self.is_resident(file, offset, into.len(), cold) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        file.read_at(&mut into[..warm], offset)
    }

    fn remember(&mut self, file: &File, offset: u64, len: usize) {
        if let Ok((number, _)) = self.number_of(file) {
            let last = offset.saturating_add(len.max(1) as u64 - 1) / PART_LEN;
            self.read
                .extend((offset / PART_LEN..=last).map(|part| (number, part)));
        }
    }
}

impl World {
    /// Starts a read: at once from memory, or when the disk has the data.
    pub(super) fn read(&mut self, host: HostId, key: OpKey) {
        let (cold, most_ns) = (self.faults.cold, self.faults.disk_ns);
        let Some((_, op)) = self.hosts[host].ops.get(key) else {
            return;
        };
        let Work::Read { file, offset, .. } = &op.work else {
            return;
        };
        if self.disk.is_resident(file, *offset, op.len, cold) {
            return self.disk_done(host, key);
        }
        self.count_fault("cold");
        let took_ns = most_ns / 10 + self.rng.below(most_ns - most_ns / 10 + 1);
        self.schedule_in(took_ns, Event::Disk { host, key });
    }

    pub(super) fn disk_done(&mut self, host: HostId, key: OpKey) {
        let p = self.faults.read_error;
        let failed = self.strikes("read_error", p);
        let Some((_, op)) = self.hosts[host].ops.get(key) else {
            return;
        };
        let limit = op.limit;
        let Work::Read {
            file,
            offset,
            buf,
            at,
        } = &mut op.work
        else {
            return;
        };
        let into = &mut buf.buffer_mut()[*at..*at + limit];
        let result = match file.read_at(into, *offset) {
            _ if failed => -libc::EIO,
            Ok(len) => {
                self.disk.remember(file, *offset, len);
                len as i32
            }
            Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
        };
        self.end(host, key, result);
    }

    /// A file send reads what it sends, from the disk if need be: on a real shard, a stall.
    pub(super) fn file_sent(&mut self, host: HostId, key: OpKey) {
        let cold = self.faults.cold;
        let Some((_, op)) = self.hosts[host].ops.get(key) else {
            return;
        };
        let Work::SendFile {
            head,
            file,
            offset,
            file_end,
        } = &op.work
        else {
            return;
        };
        let len = file_end - head.remaining();
        if !self.disk.is_resident(file, *offset, len, cold) {
            self.disk.cold_sends += 1;
            self.disk.remember(file, *offset, len);
        }
    }
}
