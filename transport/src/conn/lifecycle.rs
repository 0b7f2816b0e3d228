//! The life of a connection: its phase, and who still takes requests.
//!
//! ```text
//!  Opening ──► Open ──► Flushing ──► Closed        Opening and Open may close at once
//!               │          ▲
//!               └ draining ┘  nothing is under way any more
//! ```
//!
//! Transitions are told once: [`Ending`] says what the shell has to tell, and to whom.

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Being connected, or waiting for the peer's Hello.
    Opening,
    /// Carrying frames.
    Open,
    /// Sends what is queued, then closes.
    Flushing,
    /// Over; the pump is taking it down.
    Closed,
}

/// The consequences of a transition towards the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It has ended before: nothing is to be told.
    Already,
    /// Its end was told when it began to flush; now its last timer goes.
    Closes,
    /// It ends here: every waiter gets the reason, and handlers hear of it if it `was_open`.
    Ends { was_open: bool },
}

/// The work under way on a connection, for the end of a drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnderWay {
    /// Requests of the peer without an answer.
    pub(crate) of_peer: usize,
    /// Requests of this side without an answer.
    pub(crate) of_ours: usize,
    /// Bodies on their way out.
    pub(crate) bodies: usize,
}

impl UnderWay {
    fn is_nothing(&self) -> bool {
        *self == UnderWay::default()
    }
}

/// The state machine. A copy of some bytes, so that the hot path reads it without a borrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifecycle {
    phase: Phase,
    /// This side takes no further requests.
    draining: bool,
    /// The peer takes no further requests.
    peer_drains: bool,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Opening,
            draining: false,
            peer_drains: false,
        }
    }

    #[inline(always)]
    pub(crate) fn phase(self) -> Phase {
        self.phase
    }

    #[inline(always)]
    pub(crate) fn is_open(self) -> bool {
        self.phase == Phase::Open
    }

    /// Over for what the peer sends.
    #[inline]
    pub(crate) fn is_ending(self) -> bool {
        matches!(self.phase, Phase::Flushing | Phase::Closed)
    }

    /// Open, and the peer still takes requests.
    #[inline(always)]
    pub(crate) fn may_ask(self) -> bool {
        self.is_open() && !self.peer_drains
    }

    #[inline(always)]
    pub(crate) fn is_draining(self) -> bool {
        self.draining
    }

    /// The handshake is complete.
    ///
    /// # Panics
    /// If the connection is not being opened: the caller looks first.
    pub(crate) fn open(&mut self) {
        assert_eq!(self.phase, Phase::Opening, "a connection opens once");
        assert!(!self.draining, "only an open connection drains");
        self.phase = Phase::Open;
    }

    /// Ends the connection once what is queued has been sent.
    pub(crate) fn flush(&mut self) -> Ending {
        match self.phase {
            Phase::Flushing | Phase::Closed => Ending::Already,
            before => self.end(before, Phase::Flushing),
        }
    }

    /// Ends the connection.
    pub(crate) fn close(&mut self) -> Ending {
        match self.phase {
            Phase::Closed => Ending::Already,
            Phase::Flushing => {
                self.phase = Phase::Closed;
                Ending::Closes
            }
            before => self.end(before, Phase::Closed),
        }
    }

    fn end(&mut self, before: Phase, after: Phase) -> Ending {
        self.phase = after;
        let was_open = before == Phase::Open;
        Ending::Ends { was_open }
    }

    /// This side takes no further requests; false where that is so already, or the connection is not open.
    pub(crate) fn begin_drain(&mut self) -> bool {
        let begins = self.is_open() && !self.draining;
        self.draining |= begins;
        begins
    }

    /// The peer has announced that it takes no further requests.
    pub(crate) fn peer_begins_drain(&mut self) {
        self.peer_drains = true;
    }

    /// True once a drain is complete: the connection flushes then.
    pub(crate) fn is_drained(self, under_way: UnderWay) -> bool {
        self.draining && self.is_open() && under_way.is_nothing()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Open,
        Flush,
        Close,
        Drain,
        PeerDrains,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Open),
            Just(Event::Flush),
            Just(Event::Close),
            Just(Event::Drain),
            Just(Event::PeerDrains),
        ]
    }

    fn rank(phase: Phase) -> u8 {
        match phase {
            Phase::Opening => 0,
            Phase::Open => 1,
            Phase::Flushing => 2,
            Phase::Closed => 3,
        }
    }

    proptest! {
        #[test]
        fn a_connection_ends_once_and_never_goes_back(events in prop::collection::vec(event(), 0..24)) {
            let mut life = Lifecycle::new();
            let (mut ends, mut drains) = (0, 0);
            for event in events {
                let before = life;
                let ending = match event {
                    Event::Open if life.phase() == Phase::Opening => {
                        life.open();
                        Ending::Already
                    }
                    Event::Open => Ending::Already,
                    Event::Flush => life.flush(),
                    Event::Close => life.close(),
                    Event::Drain => {
                        drains += usize::from(life.begin_drain());
                        Ending::Already
                    }
                    Event::PeerDrains => {
                        life.peer_begins_drain();
                        Ending::Already
                    }
                };
                prop_assert!(rank(life.phase()) >= rank(before.phase()));
                if let Ending::Ends { was_open } = ending {
                    ends += 1;
                    prop_assert_eq!(was_open, before.is_open());
                }
                if ending == Ending::Closes {
                    prop_assert_eq!((ends, life.phase()), (1, Phase::Closed));
                }
                prop_assert!(!life.may_ask() || life.is_open());
            }
            prop_assert!(drains <= 1);
            prop_assert_eq!(ends, usize::from(life.is_ending()));
        }
    }

    #[test]
    fn a_drain_is_complete_when_nothing_is_under_way_in_either_direction() {
        let mut life = Lifecycle::new();
        assert!(!life.begin_drain(), "not open");
        life.open();
        assert!(!life.is_drained(UnderWay::default()), "not draining");
        assert!(life.begin_drain() && !life.begin_drain());
        for busy in [(1, 0, 0), (0, 1, 0), (0, 0, 1)] {
            let (of_peer, of_ours, bodies) = busy;
            let under_way = UnderWay {
                of_peer,
                of_ours,
                bodies,
            };
            assert!(!life.is_drained(under_way), "{under_way:?}");
        }
        assert!(life.is_drained(UnderWay::default()));
        assert_eq!(life.flush(), Ending::Ends { was_open: true });
        assert!(!life.is_drained(UnderWay::default()), "it is complete once");
    }
}
