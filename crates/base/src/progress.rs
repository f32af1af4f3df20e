//! A progress bar on stderr, only where that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// The bar, which disappears when it is dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar for work of `total` steps.
    #[must_use]
    pub fn new(what: &'static str, total: u64) -> Self {
        let bar = ProgressBar::new(total);
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {percent}% {eta} left");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        Self(bar)
    }

    /// `1000 of 5000 runs`.
    #[must_use]
    pub fn of_runs() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{pos} of {len} runs") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Sets the number of steps done.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Sets the number of steps done and their total.
    pub fn set_of(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.set(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
