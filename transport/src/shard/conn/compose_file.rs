//! Reads of files that a body waits for.

use std::io;

use crate::buf::LeaseMut;
use crate::conn::body_queue::BodyKey;
use crate::sys::driver::is_passing;

use super::Conn;

impl Conn {
    /// A read that the pump has ordered for a body has ended.
    pub(crate) fn file_read(&self, key: BodyKey, into: LeaseMut, read: io::Result<usize>) {
        let mut tx = self.tx.borrow_mut();
        let Some(at) = tx.transfers.find(key) else {
            return;
        };
        let failed = match read {
            Err(error) if is_passing(&error) => {
                tx.transfers.at(at).unread();
                None
            }
            read => {
                let lease = read.map(|count| {
                    self.local.metrics.bytes_out_file_read.add(count as u64);
                    let mut into = into;
                    assert!(count <= into.capacity(), "a read went beyond its buffer");
                    into.set_len(count);
                    into.freeze()
                });
                tx.transfers.at(at).loaded(lease).err()
            }
        };
        let ended = failed.and_then(|failure| self.fail_ready(&mut tx, at, failure));
        drop(tx);
        if let Some((transfer, failure)) = ended {
            self.end_transfer(&transfer, Some(failure));
        }
        self.mark_dirty();
    }
}
