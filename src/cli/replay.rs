//! Replaying the inputs: settings from arguments, messages about bad records, and errors.

use std::io;

use anyhow::anyhow;

use super::args::{BadRecordArgs, InputArgs, MessageArgs, OnError, SpeedArgs};
use super::inputs::Inputs;
use super::outputs::Output;
use super::session::Progress;
use super::session::Session;
use super::usage_error;
use crate::engine::{Computation, Counts, Observer, Outcome, ReplayError, Settings, replay};
use crate::input::{InputError, ReaderSettings};
use crate::output::{Rejection, Rejects};

/// The number of skipped bad records that are printed.
pub const PRINTED_REJECTS: u64 = 5;

/// The settings for these arguments.
pub fn settings(inputs: &InputArgs, bad_records: &BadRecordArgs, speed: &SpeedArgs) -> anyhow::Result<Settings> {
    let max_rejects = match (bad_records.on_error, bad_records.max_rejects) {
        (OnError::Skip, limit) => limit.unwrap_or(u64::MAX),
        (OnError::Stop, None) => 0,
        (OnError::Stop, Some(_)) => {
            return usage_error("--max-rejects needs --on-error skip; without it the first bad record ends the run");
        }
    };
    let reader = ReaderSettings { max_record_bytes: inputs.max_record_bytes.get(), ..ReaderSettings::default() };
    Ok(apply_speed(Settings { reader, max_rejects, ..Settings::default() }, speed))
}

/// The settings with the numbers of partitions and threads from `args`.
pub fn apply_speed(settings: Settings, args: &SpeedArgs) -> Settings {
    Settings { partitions: args.partitions, threads: args.threads.unwrap_or(settings.threads), ..settings }
}

/// Replays `inputs` through `computation` for a command that writes a report to `output` at the end.
pub fn analyze<C: Computation>(
    computation: &C,
    inputs: Inputs,
    args: (&InputArgs, &BadRecordArgs, &MessageArgs, &SpeedArgs),
    output: &Output,
    session: &Session,
) -> anyhow::Result<Outcome<C::State>> {
    let (input_args, bad_records, messages, speed) = args;
    let settings = settings(input_args, bad_records, speed)?;
    session.show_progress(messages, output.is_terminal(), inputs.total_bytes());
    let mut observer = RejectObserver::new(session, messages, None);
    let inputs = inputs.into_inputs(&session.progress);
    replay(computation, &settings, inputs, None, &mut observer)
        .map_err(|failure| replay_error(failure, bad_records.on_error, settings.max_rejects))
}

/// The message for a replay that failed. It names `--max-rejects` if that limit was exceeded.
pub fn replay_error(failure: ReplayError, on_error: OnError, allowed: u64) -> anyhow::Error {
    match failure {
        ReplayError::BadRecord { .. } if on_error == OnError::Skip => {
            anyhow!("{failure}; there are more bad records than --max-rejects {allowed} allows")
        }
        failure => failure.into(),
    }
}

/// Prints the number of bad records that were skipped.
pub fn print_skipped(session: &Session, args: &MessageArgs, rejects: u64) {
    if rejects > 0 {
        session.progress.print(&format!("adseg: {} skipped{}", bad_records(rejects), printed_note(args, rejects)));
    }
}

/// `1 bad record`, `2 bad records`.
pub fn bad_records(count: u64) -> String {
    if count == 1 { "1 bad record".to_owned() } else { format!("{count} bad records") }
}

/// A note that only the first bad records were printed, if there were more.
pub fn printed_note(args: &MessageArgs, rejects: u64) -> String {
    if args.quiet || rejects <= PRINTED_REJECTS {
        String::new()
    } else {
        format!(", the first {PRINTED_REJECTS} printed above")
    }
}

/// Shows progress, prints the first bad records, and writes all of them to `rejects` if it is set.
pub struct RejectObserver {
    progress: Progress,
    pub rejects: Option<Rejects>,
    /// The number of bad records that may still be printed.
    to_print: u64,
}

impl RejectObserver {
    pub fn new(session: &Session, args: &MessageArgs, rejects: Option<Rejects>) -> Self {
        Self { progress: session.progress.clone(), rejects, to_print: if args.quiet { 0 } else { PRINTED_REJECTS } }
    }
}

impl Observer for RejectObserver {
    fn progressed(&mut self, counts: &Counts) {
        self.progress.update(counts.records);
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
