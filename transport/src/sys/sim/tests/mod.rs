//! The simulation itself: what it carries, what it breaks, what it forbids, and that it replays.

mod faults;
mod links;
mod peers;
mod rules;
mod streams;
