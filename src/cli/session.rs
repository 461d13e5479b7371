//! A session runs one command: it shows progress, handles signals and commits files.
//!
//! The command runs on its own thread, and the main thread waits for its end or for a signal, so a blocked read or
//! write does not delay an interrupt. The command commits its files. Files that were not committed are discarded when
//! the command fails, panics, or is interrupted.

use std::any::Any;
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::{MessageArgs, NOT_CHECKED, ProgressWhen, StderrIsLedger, USAGE_ERROR, UsageError};
use crate::escape;
use crate::output::Staging;
use crate::system::{Blocking, os_error, stdout_file};

/// Interrupted by a signal: 128 + SIGINT, as in a shell.
const INTERRUPTED: u8 = 130;

/// The context of a command.
#[derive(Debug, Clone, Default)]
pub struct Session {
    pub staging: Arc<Staging>,
    pub progress: Progress,
    /// The exit code of the command, once only messages are left to print.
    exit_code: Arc<OnceLock<ExitCode>>,
    is_interrupted: Arc<AtomicBool>,
}

impl Session {
    /// Shows progress according to `--progress`: by default if standard error is a terminal and the output is not.
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

    /// Commits the staged files. After that an interrupt ends the command with `exit_code`, which is also returned.
    /// Fails if a file cannot be committed, or the command was interrupted.
    pub fn commit(&self, exit_code: ExitCode) -> anyhow::Result<ExitCode> {
        self.progress.finish();
        self.staging.commit()?;
        Ok(*self.exit_code.get_or_init(|| exit_code))
    }

    /// Discards the files of a command that failed, and prints its error unless an interrupt caused it. The exit code is
    /// `failed`, unless it is a usage error.
    fn fail(&self, error: &anyhow::Error, failed: u8) -> ExitCode {
        self.exit_code.get_or_init(|| ExitCode::from(failed));
        self.progress.finish();
        let files_discarded = !self.staging.is_empty();
        // The error of a commit is always printed.
        if self.staging.discard() && self.is_interrupted.load(Ordering::SeqCst) {
            return ExitCode::from(INTERRUPTED);
        }
        let exit_code = print_failure(error, files_discarded, failed);
        self.print_temporary_files();
        exit_code
    }

    /// Prints the temporary files that could not be removed, for example because their folder became read-only.
    fn print_temporary_files(&self) {
        let names: Vec<_> = self.staging.temporary_files().iter().map(|path| escape::path(path)).collect();
        if !names.is_empty() {
            print_line(&format!(
                "adseg: these temporary files could not be removed; delete them: {}",
                names.join(", ")
            ));
        }
    }
}

/// The events that the main thread waits for.
enum Event {
    Done(Result<ExitCode, Box<dyn Any + Send>>),
    #[cfg_attr(not(unix), expect(dead_code, reason = "without signal handlers, a signal ends the process"))]
    Interrupted,
}

/// Runs a command, and prints its error. The exit code of an error is `failed`. Panics when the command panics.
pub fn run(failed: u8, work: impl FnOnce(&Session) -> anyhow::Result<ExitCode> + Send + 'static) -> ExitCode {
    let session = Session::default();
    wait_for(&session, failed, work).unwrap_or_else(|error| session.fail(&error, failed))
}

/// Prints why a command failed, with all causes, and returns its exit code: `failed`, unless it is a usage error.
/// `files_discarded` is whether staged files were discarded.
pub fn print_failure(error: &anyhow::Error, files_discarded: bool, failed: u8) -> ExitCode {
    // The reader closed the pipe, which is not an error. The exit code must not be 0 if files were discarded, or if 0
    // would mean that the inputs were checked.
    let mut io_errors = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    if io_errors.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::from(if files_discarded || failed == NOT_CHECKED { failed } else { 0 });
    }
    if let Some(error) = error.downcast_ref::<StderrIsLedger>() {
        if !error.is_stdout {
            // Nobody can be told that standard output is closed.
            let _ = stdout_file().and_then(|mut stdout| writeln!(stdout, "adseg: {error}"));
        }
        return ExitCode::from(USAGE_ERROR);
    }
    let text =
        |cause: &(dyn Error + 'static)| cause.downcast_ref::<io::Error>().map_or_else(|| cause.to_string(), os_error);
    print_line(&format!("adseg: {}", error.chain().map(text).collect::<Vec<_>>().join(": ")));
    ExitCode::from(if error.is::<UsageError>() { USAGE_ERROR } else { failed })
}

fn wait_for(
    session: &Session,
    failed: u8,
    work: impl FnOnce(&Session) -> anyhow::Result<ExitCode> + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let (events, next_event) = channel();
    catch_signals(events.clone())?;
    let of_work = session.clone();
    thread::Builder::new()
        .name("work".to_owned())
        .spawn(move || {
            // The error is printed here too, because standard error may be blocked.
            let work = || work(&of_work).unwrap_or_else(|error| of_work.fail(&error, failed));
            let done = panic::catch_unwind(AssertUnwindSafe(work));
            // The main thread no longer receives after a signal.
            drop(events.send(Event::Done(done)));
        })
        .map_err(cannot_start_thread)?;
    let mut wait = Duration::MAX;
    loop {
        match next_event.recv_timeout(wait) {
            Ok(Event::Done(Ok(exit_code))) => return Ok(exit_code),
            Ok(Event::Done(Err(panic))) => {
                session.staging.discard();
                panic::resume_unwind(panic);
            }
            // The work may be blocked on input or output; it ends with the process.
            Ok(Event::Interrupted) => {
                session.is_interrupted.store(true, Ordering::SeqCst);
                if session.staging.discard() {
                    end_messages(session);
                    return Ok(ExitCode::from(INTERRUPTED));
                }
                // The files are committed or being committed. Messages may be blocked after that.
                wait = AFTER_COMMIT;
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some(&exit_code) = session.exit_code.get() {
                    return Ok(exit_code);
                }
            }
            Err(RecvTimeoutError::Disconnected) => unreachable!("the work reports its end"),
        }
    }
}

/// Ends the messages of an interrupted command, unless standard error is blocked.
fn end_messages(session: &Session) {
    let (session, (done, is_done)) = (session.clone(), channel());
    let finish = move || {
        session.progress.finish();
        session.print_temporary_files();
        done.send(()).ok();
    };
    drop(thread::Builder::new().spawn(finish));
    is_done.recv_timeout(AFTER_COMMIT).ok();
}

#[cfg(unix)]
fn catch_signals(events: Sender<Event>) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::iterator::Signals;

    let ignored = ignored_signals();
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = Signals::new(wanted).context("cannot catch signals")?;
    // A write beyond the file size limit fails like any other write instead of ending the process.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).context("cannot catch signals")?;
    let forward = move || {
        for _ in signals.forever() {
            // The main thread no longer receives after the end of the work.
            drop(events.send(Event::Interrupted));
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(forward).map_err(cannot_start_thread)?;
    Ok(())
}

/// Signals are not caught: they end the process, and temporary files may remain.
#[cfg(not(unix))]
fn catch_signals(_events: Sender<Event>) -> anyhow::Result<()> {
    Ok(())
}

pub fn cannot_start_thread(error: io::Error) -> anyhow::Error {
    anyhow!("cannot start a thread: {} (raise the limit on processes)", os_error(&error))
}

/// The signals that are ignored at start, for example under `nohup`, as a bit mask. 0 if the system does not report
/// them.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// How long an interrupted command may print messages after its files were committed or discarded.
const AFTER_COMMIT: Duration = Duration::from_millis(50);

/// A shorter command shows no bar.
const DELAY: Duration = Duration::from_millis(300);
const DRAWS_PER_SECOND: u8 = 10;
const TICK: Duration = Duration::from_millis(100);

const BAR: &str = "{bar:12} {percent:>3}%  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left";
const SPINNER: &str = "{spinner} {bytes}  {bytes_per_sec}  {elapsed}  {msg}";

/// Prints a line on standard error. A failure to print cannot be reported.
pub fn print_line(line: &str) {
    drop(writeln!(Blocking(io::stderr().lock()), "{line}"));
}

/// The progress of a command. It is hidden until [`Self::show`] is called. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// The bytes read from the input files, before decompression.
    bytes_read: Arc<AtomicU64>,
    bar: OnceLock<(ProgressBar, Instant)>,
    is_drawn: AtomicBool,
    is_finished: AtomicBool,
}

impl Progress {
    /// Shows a bar for `total` bytes, or a spinner if the size is unknown.
    pub fn show(&self, total: Option<u64>) {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = if total.is_some() { BAR } else { SPINNER };
        let style = ProgressStyle::with_template(template).expect("the templates are valid");
        bar.set_style(style.progress_chars("=> "));
        self.0.bar.set((bar, Instant::now() + DELAY)).expect("progress is shown once");
    }

    pub fn bytes_read(&self) -> &Arc<AtomicU64> {
        &self.0.bytes_read
    }

    /// Updates the number of processed records.
    pub fn update(&self, records: u64) {
        let Some((bar, appears)) = self.0.bar.get().filter(|_| !self.0.is_finished.load(Ordering::Relaxed)) else {
            return;
        };
        bar.set_position(self.0.bytes_read.load(Ordering::Relaxed));
        bar.set_message(format!("{} records", HumanCount(records)));
        if !self.is_drawn() && *appears <= Instant::now() {
            bar.set_draw_target(stderr_target());
            tick(bar);
            self.0.is_drawn.store(true, Ordering::Relaxed);
        }
    }

    /// Prints a line on standard error without corrupting the bar.
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

/// Redraws the bar regularly. If the system cannot start a thread, the bar is redrawn when records are processed.
fn tick(bar: &ProgressBar) {
    let bar = bar.downgrade();
    let tick = move || {
        while let Some(bar) = bar.upgrade().filter(|bar| !bar.is_finished()) {
            bar.tick();
            thread::sleep(TICK);
        }
    };
    drop(thread::Builder::new().name("progress".to_owned()).spawn(tick));
}

/// If standard error is not a terminal, the user has requested the bar, but indicatif would hide it.
fn stderr_target() -> ProgressDrawTarget {
    if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND)
    } else {
        ProgressDrawTarget::term_like_with_hz(Box::new(console::Term::stderr()), DRAWS_PER_SECOND)
    }
}
