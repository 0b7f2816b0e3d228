//! Injected faults and their rates.

/// Probabilities (0 to 1) and sizes of what the simulation injects. Nothing by default.
///
/// ```
/// use ringrail_transport::sys::sim::Faults;
///
/// let faults = Faults { short_send: 0.5, ..Faults::default() };
/// assert_eq!(faults.reset, 0.0);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// A segment is cut at a random byte, per segment.
    pub split: f64,
    /// A receive completes with less than there is, per completion.
    pub short_recv: f64,
    /// A send completes with a part, per operation.
    pub short_send: f64,
    /// A multishot accept or receive ends with a good result, per result.
    pub multishot_end: f64,
    /// A multishot receive ends with `ENOBUFS` though buffers are left, per result.
    pub no_buffers: f64,
    /// An operation ends with `EINTR`, having done nothing, per operation (connects and file sends
    /// excepted).
    pub interrupted: f64,
    /// The connection is reset at a random byte, per segment.
    pub reset: f64,
    /// The connection goes silent in both directions, per segment: bytes are lost, and neither end
    /// is notified.
    pub vanish: f64,
    /// A connect is refused.
    pub connect_refused: f64,
    /// A connect gets no answer; the kernel aborts it after two minutes.
    pub connect_hang: f64,
    /// An accept ends with `EMFILE`; the connection stays in the queue. Per connection and try.
    pub accept_error: f64,
    /// Opening a socket fails for lack of descriptors.
    pub socket_error: f64,
    /// A completion arrives late, so that other operations overtake it, per completion.
    pub late: f64,
    /// How late at most, in nanoseconds.
    pub late_ns: u64,
    /// A cancel takes effect late, so that the operation may go on meanwhile, per cancel.
    pub late_cancel: f64,
    /// How late at most, in nanoseconds.
    pub late_cancel_ns: u64,
    /// A parked driver is woken for nothing, per park.
    pub spurious_wake: f64,
    /// Places in the completion queue; what comes beyond waits for the next
    /// [`enter`](crate::sys::driver::Driver::enter). `None` leaves the driver's own size.
    pub cq_entries: Option<usize>,
    /// A part of a file (64 KiB) is not in memory until it has been read.
    pub cold: f64,
    /// Time that the disk takes, in nanoseconds, at most; at least a tenth of it.
    pub disk_ns: u64,
    /// A read of a file completes with a part.
    pub short_read: f64,
    /// A read of a file ends with `EIO`.
    pub read_error: f64,
}

impl Faults {
    /// Everything that a healthy network, disk and kernel may do: short, late, split, reordered,
    /// cold. Nothing is lost, so every request must still succeed.
    pub fn rough() -> Self {
        Self {
            split: 0.3,
            short_recv: 0.1,
            short_send: 0.1,
            multishot_end: 0.05,
            no_buffers: 0.02,
            interrupted: 0.01,
            late: 0.1,
            late_ns: 200_000,
            late_cancel: 0.3,
            late_cancel_ns: 1_000_000,
            spurious_wake: 0.05,
            cq_entries: Some(4),
            cold: 0.3,
            disk_ns: 2_000_000,
            short_read: 0.1,
            ..Self::default()
        }
    }

    /// Everything at once, with moderate probabilities: what is [`rough`](Self::rough), and
    /// connections, connects, accepts and reads that fail.
    pub fn chaos() -> Self {
        Self {
            reset: 0.002,
            vanish: 0.000_5,
            connect_refused: 0.05,
            connect_hang: 0.02,
            accept_error: 0.05,
            socket_error: 0.02,
            read_error: 0.01,
            ..Self::rough()
        }
    }
}

/// A kind of operation, for [`SimHost::fail_next`](super::SimHost::fail_next).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A multishot accept, at the next connection it would give.
    Accept,
    /// A connect.
    Connect,
    /// A multishot receive.
    RecvMulti,
    /// An exact receive.
    Recv,
    /// A send from memory.
    Send,
    /// A send from a file.
    SendFile,
    /// A read of a file.
    Read,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Accept => "accept",
            Kind::Connect => "connect",
            Kind::RecvMulti => "recv_multi",
            Kind::Recv => "recv",
            Kind::Send => "send",
            Kind::SendFile => "send_file",
            Kind::Read => "read",
        }
    }
}

/// A direction of transfer on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the side that connected.
    ToServer,
    /// From the side that accepted.
    ToClient,
}

/// A scripted fault of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injury {
    /// Both ends get a reset.
    Reset,
    /// Both directions silently lose all bytes from now on.
    Vanish,
}

/// When a scripted [`Injury`] happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this time of the world's clock, in nanoseconds.
    Time(u64),
    /// Right after so many bytes have gone this way; 0 is before the first.
    Byte(Direction, u64),
}

/// One injury at one point of one connection; see [`SimWorld::script`](super::SimWorld::script).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// The connection: 0 is the first that the world establishes, 1 the second.
    pub connection: usize,
    /// The time of the fault.
    pub when: When,
    /// The fault.
    pub injury: Injury,
}
