//! A session: the work of one command, which writes files, shows progress, and can be interrupted at any moment.
//!
//! The work runs on a thread of its own, and the main thread waits for its end or for a signal. So a read or write that
//! waits cannot keep an interrupt from being answered. Files are committed by the work itself; what was not committed is
//! discarded when the work fails, panics, or is interrupted.

use std::any::Any;
use std::io::{self, IsTerminal, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::INTERRUPTED;
use super::args::{MessageArgs, ProgressWhen};
use crate::output::{CommitError, Staging};

/// What the work of a command can use.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// Where files are opened for writing.
    pub staging: Arc<Staging>,
    /// Where progress is shown.
    pub progress: Progress,
}

/// Why a command did not reach its end.
#[derive(Debug)]
pub struct CommandFailure {
    /// What went wrong.
    pub error: anyhow::Error,
    /// Whether it had files to write, which are discarded.
    pub files_discarded: bool,
}

impl Session {
    /// Shows progress over `total_bytes`, if the user wants it: on a terminal, but not on one that the output goes to.
    pub fn show_progress(&self, args: &MessageArgs, output_on_terminal: bool, total_bytes: Option<u64>) {
        let is_wanted = match args.progress {
            ProgressWhen::Always => true,
            ProgressWhen::Never => false,
            ProgressWhen::Auto => !args.quiet && !output_on_terminal && io::stderr().is_terminal(),
        };
        if is_wanted {
            self.progress.show(total_bytes);
        }
    }

    /// Renames everything that was written into place.
    ///
    /// # Errors
    /// When a file cannot be, or the command was interrupted.
    pub fn commit(&self) -> Result<(), CommitError> {
        self.progress.finish();
        self.staging.commit()
    }
}

/// What the main thread waits for.
enum Event {
    Done(Result<anyhow::Result<ExitCode>, Box<dyn Any + Send>>),
    #[cfg_attr(not(unix), expect(dead_code, reason = "elsewhere a signal ends the process itself"))]
    Interrupted,
}

/// Runs the work of a command.
///
/// # Errors
/// When the work fails.
///
/// # Panics
/// When the work does.
pub fn run(
    work: impl FnOnce(&Session) -> anyhow::Result<ExitCode> + Send + 'static,
) -> Result<ExitCode, CommandFailure> {
    let session = Session::default();
    let result = wait_for(&session, work);
    session.progress.finish();
    result.map_err(|error| {
        let files_discarded = !session.staging.is_empty();
        session.staging.discard();
        CommandFailure { error, files_discarded }
    })
}

fn wait_for(
    session: &Session,
    work: impl FnOnce(&Session) -> anyhow::Result<ExitCode> + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let (events, next_event) = channel();
    catch_signals(events.clone()).context("cannot catch signals")?;
    let of_work = session.clone();
    thread::Builder::new()
        .name("work".to_owned())
        .spawn(move || {
            let done = panic::catch_unwind(AssertUnwindSafe(|| work(&of_work)));
            // The main thread no longer listens when a signal came first.
            drop(events.send(Event::Done(done)));
        })
        .context("cannot start a thread")?;
    for event in next_event {
        match event {
            Event::Done(Ok(result)) => return result,
            Event::Done(Err(panic)) => {
                session.staging.discard();
                panic::resume_unwind(panic);
            }
            // The work may still be waiting for input or output; the end of the process ends it.
            Event::Interrupted if session.staging.discard() => return Ok(ExitCode::from(INTERRUPTED)),
            // The files are committed, and the work is about to end.
            Event::Interrupted => {}
        }
    }
    unreachable!("the work reports its end")
}

#[cfg(unix)]
fn catch_signals(events: Sender<Event>) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::iterator::Signals;

    let ignored = ignored_signals();
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = Signals::new(wanted)?;
    // Beyond a limit on file sizes, a write fails like any other write instead of ending the process.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if signals.forever().next().is_some() {
            // The main thread no longer listens when the work was done first.
            drop(events.send(Event::Interrupted));
        }
    })?;
    Ok(())
}

/// Without signals to catch, the system's own handling ends the process; a temporary file may stay.
#[cfg(not(unix))]
fn catch_signals(_events: Sender<Event>) -> io::Result<()> {
    Ok(())
}

/// The signals that the parent process wants to be ignored, as `nohup` does, one bit each from the lowest. None where the
/// system does not say.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// A command that is done by then shows no bar, which would only flicker.
const DELAY: Duration = Duration::from_millis(300);
const DRAWS_PER_SECOND: u8 = 10;
const TICK: Duration = Duration::from_millis(100);

const BAR: &str = "{bar:12} {percent:>3}%  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left";
const SPINNER: &str = "{spinner} {bytes}  {bytes_per_sec}  {elapsed}  {msg}";

/// Prints a line on standard error. When that fails, there is nobody to report it to.
pub fn print_line(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Shows how far a command is: nothing, until it is asked to. Its clones show the same.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// How many bytes of the input files have been read, before decompression.
    bytes_read: Arc<AtomicU64>,
    bar: OnceLock<(ProgressBar, Instant)>,
    is_drawn: AtomicBool,
    is_finished: AtomicBool,
}

impl Progress {
    /// Shows progress over `total` bytes from now on: a bar, or where the size is unknown a spinner with a count.
    pub fn show(&self, total: Option<u64>) {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = if total.is_some() { BAR } else { SPINNER };
        let style = ProgressStyle::with_template(template).expect("the templates are valid");
        bar.set_style(style.progress_chars("=> "));
        self.0.bar.set((bar, Instant::now() + DELAY)).expect("progress is shown once");
    }

    /// Where whoever reads files counts their bytes.
    pub fn bytes_read(&self) -> &Arc<AtomicU64> {
        &self.0.bytes_read
    }

    /// Shows that so many records are processed.
    pub fn update(&self, records: u64) {
        let Some((bar, appears)) = self.0.bar.get().filter(|_| !self.0.is_finished.load(Ordering::Relaxed)) else {
            return;
        };
        bar.set_position(self.0.bytes_read.load(Ordering::Relaxed));
        bar.set_message(format!("{} records", HumanCount(records)));
        if !self.is_drawn() && *appears <= Instant::now() {
            bar.set_draw_target(stderr_target());
            bar.enable_steady_tick(TICK);
            self.0.is_drawn.store(true, Ordering::Relaxed);
        }
    }

    /// Prints a line on standard error without tearing the bar.
    pub fn print(&self, line: &str) {
        match self.0.bar.get() {
            Some((bar, _)) if self.is_drawn() => bar.suspend(|| print_line(line)),
            _ => print_line(line),
        }
    }

    /// Removes the bar from the screen.
    pub fn finish(&self) {
        self.0.is_finished.store(true, Ordering::Relaxed);
        if let Some((bar, _)) = self.0.bar.get().filter(|_| self.is_drawn()) {
            bar.finish_and_clear();
        }
    }

    fn is_drawn(&self) -> bool {
        self.0.is_drawn.load(Ordering::Relaxed)
    }
}

/// On a terminal the bar is drawn as usual. Elsewhere it is drawn only because the user asked for it, so it must not hide
/// itself.
fn stderr_target() -> ProgressDrawTarget {
    if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND)
    } else {
        ProgressDrawTarget::term_like_with_hz(Box::new(console::Term::stderr()), DRAWS_PER_SECOND)
    }
}
