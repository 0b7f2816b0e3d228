//! The progress bar, on a terminal.

use std::io::IsTerminal;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use ringrail::block::fetch::FetchEvent;

/// Shows a fetch's events as a bar on stderr, or not at all.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    bar: Option<Arc<ProgressBar>>,
}

impl Progress {
    /// A bar, where one is wanted and stderr is a terminal.
    pub(super) fn new(wanted: bool) -> Self {
        let bar = (wanted && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template(
                "{bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} {msg}",
            ) {
                bar.set_style(style);
            }
            bar.set_message("asking what there is");
            Arc::new(bar)
        });
        Self { bar }
    }

    pub(super) fn show(&self, event: &FetchEvent<'_>) {
        let Some(bar) = &self.bar else { return };
        match event {
            FetchEvent::Planned { files, bytes, .. } => {
                bar.set_length(*bytes);
                bar.set_message(format!("{files} files"));
            }
            FetchEvent::Progress { bytes, .. } => bar.inc(*bytes),
            FetchEvent::FileFailed { path, error } => bar.println(format!("{path}: {error}")),
            FetchEvent::Retrying { error, wait, .. } => {
                bar.println(format!(
                    "{error}; trying again in {:.1} s",
                    wait.as_secs_f64()
                ));
            }
            _ => {}
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
