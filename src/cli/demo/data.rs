//! Data to move: files of all sizes, no two alike, the same every time.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

/// Smallest and largest of the small files.
const SMALL: [u64; 6] = [0, 1, 700, 4096, 20_000, 150_000];

/// Small files in all.
const SMALL_COUNT: u64 = 300;

/// A fast generator whose numbers no compression or caching can guess (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Fills `root` with about `total` bytes: a few large files, some middling ones, many small ones,
/// an empty directory and a link.
///
/// `go_on` is asked before each file; its error ends the work.
pub(super) fn fill(
    root: &Path,
    total: u64,
    go_on: impl Fn() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    fs::create_dir_all(root.join("empty"))?;
    let mut left = total;
    let mut number = 0;
    let mut put = |dir: &str, len: u64| {
        go_on()?;
        number += 1;
        write(&root.join(dir), &format!("{number:04}"), len, number)?;
        anyhow::Ok(())
    };
    for at in 0..SMALL_COUNT {
        let len = SMALL[(at % SMALL.len() as u64) as usize].min(left / 4);
        put("small", len)?;
        left -= len;
    }
    for _ in 0..32 {
        let len = (total / 128).min(left / 4);
        put("middling/deeper", len)?;
        left -= len;
    }
    for _ in 0..3 {
        let len = total / 6;
        put("large", len.min(left))?;
        left -= len.min(left);
    }
    put("large", left)?;
    symlink("small/0002", root.join("link"))?;
    Ok(())
}

fn write(dir: &Path, name: &str, len: u64, seed: u64) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(dir.join(name))?);
    let mut numbers = Numbers(seed);
    for _ in 0..len / 8 {
        out.write_all(&numbers.next().to_le_bytes())?;
    }
    out.write_all(&numbers.next().to_le_bytes()[..(len % 8) as usize])?;
    out.flush()
}
