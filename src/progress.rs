//! The progress bar on the standard error.
//!
//! Whether there is one is decided once, at the start; from then on the callers need not ask.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A run that is done by then shows no bar: it would only flicker.
const PATIENCE: Duration = Duration::from_millis(300);
const DRAWS_PER_SECOND: u8 = 10;
const TICK: Duration = Duration::from_millis(100);

const BAR: &str = "{bar:30} {percent:>3}%  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left  {msg}";
const SPINNER: &str = "{spinner} {bytes}  {bytes_per_sec}  {elapsed}  {msg}";

/// Shows how far a run is.
#[derive(Debug, Clone)]
pub struct Progress {
    bar: ProgressBar,
    /// When the bar appears; `None` once it has, or when it never will.
    appears: Option<Instant>,
}

impl Progress {
    /// Progress that nobody sees.
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), appears: None }
    }

    /// Progress over `total` bytes: a bar, or where the size is unknown a spinner with a count.
    pub fn visible(total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = if total.is_some() { BAR } else { SPINNER };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, appears: Some(Instant::now() + PATIENCE) }
    }

    /// Tells that so many bytes and records are worked off.
    pub fn advanced(&mut self, bytes: u64, records: u64) {
        self.bar.set_position(bytes);
        if self.appears.is_some_and(|moment| moment <= Instant::now()) {
            self.appears = None;
            self.bar.set_draw_target(stderr_target());
            self.bar.enable_steady_tick(TICK);
        }
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{records} records"));
        }
    }

    /// Writes a line to the standard error without tearing the bar.
    pub fn tell(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// On a terminal the bar is drawn as usual. Elsewhere it is drawn only because somebody asked for it, so it must not
/// hide itself.
fn stderr_target() -> ProgressDrawTarget {
    if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND)
    } else {
        ProgressDrawTarget::term_like_with_hz(Box::new(console::Term::stderr()), DRAWS_PER_SECOND)
    }
}
