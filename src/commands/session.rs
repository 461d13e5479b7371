//! A session: work that writes files, shows progress, and can be interrupted at any moment.
//!
//! What was written is synced to the disk and put in place when the work is done, and taken back when it fails or a
//! signal comes. Every subcommand that reads or writes data does it in a session.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};

use super::{FAILED, INTERRUPTED};
use crate::cli::ProgressWhen;
use crate::interrupt::interruptible;
use crate::messages::shown;
use crate::progress::Progress;
use crate::sink::Staging;

/// What work can use of its session.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// Where files are opened for writing.
    pub staging: Arc<Staging>,
    /// Where progress is shown.
    pub progress: Progress,
}

/// How work ended that did not fail.
#[derive(Debug)]
pub enum Ended<T> {
    /// It is done.
    Done(T),
    /// Whoever read the output has gone away, so there is no point in going on.
    ReaderLeft,
}

impl<T> Ended<T> {
    /// The same end with what `finish` makes of the result.
    pub fn map<U>(self, finish: impl FnOnce(T) -> U) -> Ended<U> {
        match self {
            Self::Done(done) => Ended::Done(finish(done)),
            Self::ReaderLeft => Ended::ReaderLeft,
        }
    }
}

/// What became of a session that did not fail.
#[derive(Debug)]
pub enum Finish<T> {
    /// The work is done and its files are in place.
    Done(T),
    /// It ended early, and nothing is left to say but this.
    Early(ExitCode),
}

impl<T> Finish<T> {
    /// The exit code, when `report` is all that is left to do after the work.
    ///
    /// # Errors
    /// When the report fails.
    pub fn exit_code(self, report: impl FnOnce(T) -> anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
        match self {
            Self::Done(done) => report(done),
            Self::Early(exit) => Ok(exit),
        }
    }
}

/// Does `work` in a session.
///
/// # Errors
/// When the work fails, or its files cannot be put in place.
pub fn session<T: Send + 'static>(
    work: impl FnOnce(&Session) -> anyhow::Result<Ended<T>> + Send + 'static,
) -> anyhow::Result<Finish<T>> {
    let session = Session::default();
    let of_work = session.clone();
    let Some(result) = interruptible(move || of_work.written(work(&of_work)?)).context("cannot start")? else {
        // The work may hold on to anything: first what must not stay, then what is only for the eye.
        session.staging.abandon();
        session.progress.finish();
        return Ok(Finish::Early(ExitCode::from(INTERRUPTED)));
    };
    session.progress.finish();
    match result {
        Ok(Ended::Done(done)) => {
            session.put_in_place()?;
            Ok(Finish::Done(done))
        }
        Ok(Ended::ReaderLeft) => {
            // What else was asked for is not there then, and a script must not take it for done.
            let exit = if session.staging.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) };
            session.staging.abandon();
            Ok(Finish::Early(exit))
        }
        Err(error) => {
            session.staging.abandon();
            Err(error)
        }
    }
}

/// A failed write, unless it failed because whoever was to read it has gone away.
pub fn reader_left_or<T>(name: &str, error: io::Error) -> anyhow::Result<Ended<T>> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(Ended::ReaderLeft),
        _ => Err(anyhow!("{name}: cannot write: {error}")),
    }
}

impl Session {
    /// Shows progress over `total_bytes`, if the user wants it: on a terminal, but not on one that the output goes to as
    /// well.
    pub fn show_progress(&self, when: ProgressWhen, quiet: bool, output_on_terminal: bool, total_bytes: Option<u64>) {
        let wanted = match when {
            ProgressWhen::Always => true,
            ProgressWhen::Never => false,
            ProgressWhen::Auto => !quiet && !output_on_terminal && io::stderr().is_terminal(),
        };
        if wanted {
            self.progress.show(total_bytes);
        }
    }

    /// The same end, once what was written is on the disk.
    fn written<T>(&self, ended: Ended<T>) -> anyhow::Result<Ended<T>> {
        if let Ended::Done(_) = ended {
            self.staging.sync().map_err(|(path, error)| anyhow!("{}: cannot write: {error}", shown(&path)))?;
        }
        Ok(ended)
    }

    fn put_in_place(&self) -> anyhow::Result<()> {
        self.staging.put_in_place().map_err(|(path, error)| {
            self.staging.abandon();
            anyhow!("{}: cannot put in place: {error}", shown(&path))
        })
    }
}
