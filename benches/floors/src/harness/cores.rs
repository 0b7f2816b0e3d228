//! Selection of the two processes' cores, and pinning before their first instruction.

use super::error::HarnessError;
use crate::workload::Placement;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::mem;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The server's core and the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// The core that the server is pinned to.
    pub server: usize,
    /// The client's.
    pub client: usize,
}

impl Cores {
    /// Chooses among the cores that this process may run on. Two cores are two real ones where
    /// there are, not two threads of one.
    ///
    /// # Errors
    /// There are too few, or the system does not tell.
    pub fn choose(placement: Placement) -> Result<Self, HarnessError> {
        let allowed = allowed().map_err(HarnessError::Cores)?;
        choose_from(&allowed, placement, siblings)
    }

    /// Each core once.
    pub(super) fn list(self) -> Vec<usize> {
        BTreeSet::from([self.server, self.client])
            .into_iter()
            .collect()
    }
}

fn choose_from(
    allowed: &[usize],
    placement: Placement,
    siblings: impl Fn(usize) -> BTreeSet<usize>,
) -> Result<Cores, HarnessError> {
    let too_few = HarnessError::TooFewCores {
        allowed: allowed.len(),
    };
    let Some((&server, rest)) = allowed.split_first() else {
        return Err(too_few);
    };
    if placement == Placement::SameCore {
        return Ok(Cores {
            server,
            client: server,
        });
    }
    let same_core = siblings(server);
    let apart = rest.iter().find(|core| !same_core.contains(core));
    match apart.or(rest.first()) {
        Some(&client) => Ok(Cores { server, client }),
        None => Err(too_few),
    }
}

fn allowed() -> io::Result<Vec<usize>> {
    // SAFETY: all-zero is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set is live and as long as stated.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the macro reads inside the set for indices below its size.
    Ok((0..libc::CPU_SETSIZE as usize)
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &set) })
        .collect())
}

/// The hardware threads of the core that `core` is one of; empty where the kernel does not tell.
fn siblings(core: usize) -> BTreeSet<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    fs::read_to_string(path).map_or_else(|_| BTreeSet::new(), |list| parse_list(&list))
}

/// Reads the kernel's list format: `0,4-6`.
fn parse_list(list: &str) -> BTreeSet<usize> {
    let range = |item: &str| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// Makes `command` start on `core` and stay there.
pub fn pin(command: &mut Command, core: usize) {
    // SAFETY: all-zero is a valid, empty set; the macro writes inside it, for `core` came out of
    // such a set.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(core, &mut set);
        set
    };
    let pin = move || {
        // SAFETY: the set is live and as long as stated.
        match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec the closure makes one system call and touches nothing but its
    // own copy of the set.
    unsafe { command.pre_exec(pin) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lists_are_read() {
        assert_eq!(parse_list("0\n"), BTreeSet::from([0]));
        assert_eq!(parse_list("0,4-6\n"), BTreeSet::from([0, 4, 5, 6]));
        assert_eq!(parse_list(""), BTreeSet::new());
    }

    #[test]
    fn two_cores_are_not_two_threads_of_one() {
        let pairs = |core| BTreeSet::from([core, core ^ 1]);
        let two = |allowed: &[usize]| choose_from(allowed, Placement::TwoCores, pairs);
        assert_eq!(
            two(&[2, 3, 4]).expect("three"),
            Cores {
                server: 2,
                client: 4
            }
        );
        assert_eq!(
            two(&[2, 3]).expect("two threads"),
            Cores {
                server: 2,
                client: 3
            }
        );
        assert!(matches!(
            two(&[2]),
            Err(HarnessError::TooFewCores { allowed: 1 })
        ));
        let same = choose_from(&[5], Placement::SameCore, pairs).expect("one is enough");
        assert_eq!(
            same,
            Cores {
                server: 5,
                client: 5
            }
        );
    }

    #[test]
    fn a_pinned_command_runs_where_it_was_told() {
        let core = *allowed()
            .expect("readable")
            .last()
            .expect("we run somewhere");
        let mut command = Command::new("cat");
        command.arg("/proc/self/status");
        pin(&mut command, core);
        let status = command.output().expect("cat is everywhere").stdout;
        let status = String::from_utf8_lossy(&status).into_owned();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        assert_eq!(line.map(str::trim), Some(core.to_string().as_str()));
    }
}
