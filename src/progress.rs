//! The progress bar on the standard error.
//!
//! Whether there is one is decided once, at the start; from then on the callers need not ask.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::messages::tell;

/// A run that is done by then shows no bar: it would only flicker.
const PATIENCE: Duration = Duration::from_millis(300);
const DRAWS_PER_SECOND: u8 = 10;
const TICK: Duration = Duration::from_millis(100);

const BAR: &str = "{bar:12} {percent:>3}%  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left";
const SPINNER: &str = "{spinner} {bytes}  {bytes_per_sec}  {elapsed}  {msg}";

/// Shows how far a run is: nothing, until it is told to. Its clones show the same.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Shown>);

#[derive(Debug, Default)]
struct Shown {
    /// How many bytes of the inputs' files have been read, packed as they lie there.
    meter: Arc<AtomicU64>,
    bar: OnceLock<(ProgressBar, Instant)>,
    is_drawn: AtomicBool,
    is_over: AtomicBool,
}

impl Progress {
    /// Shows progress over `total` bytes from now on: a bar, or where the size is unknown a spinner with a count.
    pub fn show(&self, total: Option<u64>) {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = if total.is_some() { BAR } else { SPINNER };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        // It is decided once.
        let _ = self.0.bar.set((bar, Instant::now() + PATIENCE));
    }

    /// Where whoever reads files counts their bytes.
    pub fn meter(&self) -> &Arc<AtomicU64> {
        &self.0.meter
    }

    /// Tells that so many records are worked off.
    pub fn advanced(&self, records: u64) {
        let Some((bar, appears)) = self.0.bar.get().filter(|_| !self.0.is_over.load(Ordering::Relaxed)) else {
            return;
        };
        bar.set_position(self.0.meter.load(Ordering::Relaxed));
        bar.set_message(format!("{} records", HumanCount(records)));
        if !self.is_drawn() && *appears <= Instant::now() {
            bar.set_draw_target(stderr_target());
            bar.enable_steady_tick(TICK);
            self.0.is_drawn.store(true, Ordering::Relaxed);
        }
    }

    /// Writes a line to the standard error without tearing the bar.
    pub fn tell(&self, line: &str) {
        match self.0.bar.get() {
            Some((bar, _)) if self.is_drawn() => bar.suspend(|| tell(line)),
            _ => tell(line),
        }
    }

    /// Takes the bar off the screen, for good.
    pub fn finish(&self) {
        self.0.is_over.store(true, Ordering::Relaxed);
        if let Some((bar, _)) = self.0.bar.get().filter(|_| self.is_drawn()) {
            bar.finish_and_clear();
        }
    }

    fn is_drawn(&self) -> bool {
        self.0.is_drawn.load(Ordering::Relaxed)
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
