//! The io_uring engine of ringrail.
