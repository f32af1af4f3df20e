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

    /// `1000 of 5000 runs, 7.1 MB`.
    #[must_use]
    pub fn of_traffic() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{pos} of {len} runs, {msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Sets the number of steps done.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Sets the number of runs, of how many, and the bytes that went to a server and came from there.
    pub fn set_traffic(&self, done: u64, total: u64, bytes: u64) {
        let message = match bytes {
            0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
            _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
        };
        self.0.set_message(message);
        self.set_of(done, total);
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
