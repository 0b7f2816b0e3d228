//! Runs user code and contains its panics.

use super::Conn;

impl Conn {
    /// Runs user code; a panic is contained and counted, and returns `None`.
    #[inline(always)]
    pub(crate) fn guarded<T>(&self, run: impl FnOnce() -> T) -> Option<T> {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.panicked(&*panic);
                None
            }
        }
    }

    #[cold]
    fn panicked(&self, panic: &(dyn std::any::Any + Send)) {
        self.local.metrics.handler_panics.increment();
        let text = panic_text(panic);
        tracing::error!(target: "ringrail::conn", peer = %self.peer, text, "handler panicked");
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}
