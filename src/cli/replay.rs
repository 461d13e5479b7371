//! Replaying the inputs: settings from arguments, messages about bad records, and errors.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::anyhow;

use super::args::{MessageArgs, OnError, ReplayArgs, SpeedArgs};
use super::files::{Inputs, Output, OutputFile};
use super::input_args::InputArgs;
use super::session::{Progress, Session};
use crate::engine::{Computation, Counts, Observer, Outcome, ReplayError, Settings, replay};
use crate::input::{InputError, ReaderSettings};
use crate::output::{Rejection, Rejects};

/// The number of skipped bad records that are printed.
const PRINTED_REJECTS: u64 = 5;

/// The settings for these arguments. `max_rejects` bad records are skipped.
pub fn settings(inputs: &InputArgs, speed: &SpeedArgs, max_rejects: u64) -> Settings {
    let reader = ReaderSettings { max_record_bytes: inputs.max_record_bytes.get(), ..ReaderSettings::default() };
    let threads = speed.threads.unwrap_or(Settings::default().threads);
    let allows_disorder = inputs.tables.allow_disorder;
    Settings {
        reader,
        max_rejects,
        partitions: speed.partitions,
        threads,
        allows_disorder,
        min_members: 0,
        replaced_list: None,
    }
}

/// Replays `inputs` through `computation` for a command that writes a report to `output` at the end.
pub fn analyze<C: Computation>(
    computation: &C,
    inputs: Inputs,
    input_args: &InputArgs,
    args: &ReplayArgs,
    output: &Output,
    session: &Session,
) -> anyhow::Result<Outcome<C::State>> {
    let settings = settings(input_args, &args.speed, args.bad_records.allowed()?);
    session.show_progress(&args.messages, output.is_terminal(), inputs.total_bytes());
    let mut observer = RejectObserver::new(session, &args.messages, None);
    let inputs = inputs.into_inputs(&session.progress);
    replay(computation, &settings, inputs, None, &mut observer)
        .map_err(|error| replay_error(error, args.bad_records.on_error, settings.max_rejects))
}

/// The message for a replay that failed. It names `--max-rejects` if that limit was exceeded.
pub fn replay_error(error: ReplayError, on_error: OnError, allowed: u64) -> anyhow::Error {
    match error {
        ReplayError::BadRecord { .. } if on_error == OnError::Skip => {
            anyhow!("{error}; there are more bad records than --max-rejects {allowed} allows")
        }
        error => error.into(),
    }
}

pub fn write_report(
    output: &Output,
    write: impl FnOnce(&mut BufWriter<OutputFile>) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(output.writer());
    write(&mut out).and_then(|()| out.flush()).map_err(|error| output.cannot_write(error))
}

/// Commits the report, and prints the number of bad records that were skipped.
pub fn commit_report(exit_code: u8, session: &Session, args: &ReplayArgs, rejects: u64) -> anyhow::Result<ExitCode> {
    let exit_code = session.commit(ExitCode::from(exit_code))?;
    print_rejects(rejects, "skipped", "", session, &args.messages);
    Ok(exit_code)
}

/// Prints the number of bad records and what was `done` with them, and whether more were found than printed.
pub fn print_rejects(rejects: u64, done: &str, hint: &str, session: &Session, args: &MessageArgs) {
    if rejects > 0 {
        let is_all = args.quiet || rejects <= PRINTED_REJECTS;
        let above = if is_all { "" } else { &format!(", the first {PRINTED_REJECTS} printed above") };
        session.progress.print(&format!("adseg: {} {done}{above}{hint}", plural(rejects, "bad record")));
    }
}

/// `1 click`, `2 clicks`.
pub fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Shows progress, prints the first bad records, and writes all of them to `rejects` if it is set.
pub struct RejectObserver {
    progress: Progress,
    pub rejects: Option<Rejects>,
    /// The number of bad records that may still be printed.
    to_print: u64,
    /// Whether an empty loyalty list is reported.
    warns: bool,
}

impl RejectObserver {
    pub fn new(session: &Session, args: &MessageArgs, rejects: Option<Rejects>) -> Self {
        let to_print = if args.quiet { 0 } else { PRINTED_REJECTS };
        Self { progress: session.progress.clone(), rejects, to_print, warns: !args.quiet }
    }
}

impl Observer for RejectObserver {
    fn progressed(&mut self, counts: &Counts) {
        self.progress.update(counts.records);
    }

    fn list_loaded(&mut self, members: u64) {
        if members == 0 && self.warns {
            self.progress.print("adseg: warning: the loyalty list is empty (--min-members N makes this an error)");
        }
    }

    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        if self.to_print > 0 {
            self.to_print -= 1;
            self.progress.print(&format!("adseg: {}: {}", rejection.location, rejection.reason));
        }
        self.rejects.as_mut().map_or(Ok(()), |rejects| rejects.write(rejection))
    }

    fn rejected_more(&mut self, raw: &[u8]) -> io::Result<()> {
        self.rejects.as_mut().map_or(Ok(()), |rejects| rejects.write_more(raw))
    }

    fn damaged(&mut self, error: &InputError) -> io::Result<()> {
        unreachable!("damage ends this replay: {error}")
    }
}
