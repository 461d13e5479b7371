//! Going through the inputs as a run does, for a report on what the states hold at the end.

use std::io::{self, IsTerminal};

use super::inputs::Inputs;
use super::run::{TOLD_REJECTS, Witness, not_to_the_end};
use super::session::Session;
use super::usage::wrong;
use super::with_speed;
use crate::cli::{OnError, ReadingArgs};
use crate::computation::Computation;
use crate::encoder::Silent;
use crate::engine::{Job, Outcome, Settings, replay};
use crate::messages::tell;
use crate::source::ReaderSettings;

/// Replays `inputs` through `computation`.
///
/// # Errors
/// When the arguments make no sense together, or the replay does not reach the end.
pub fn read_through<C: Computation>(
    computation: C,
    inputs: Inputs,
    args: &ReadingArgs,
    session: &Session,
) -> anyhow::Result<Outcome<C::State>> {
    let settings = settings(args)?;
    session.show_progress(args.progress, args.quiet, io::stdout().is_terminal(), inputs.total_bytes());
    let untold = if args.quiet { 0 } else { TOLD_REJECTS };
    let mut witness = Witness { progress: session.progress.clone(), rejects: None, untold };
    let inputs = inputs.into_inputs(session.progress.meter());
    let job = Job { computation, encoder: Silent };
    replay(&job, &settings, inputs, Box::new(io::sink()), &mut witness)
        .map_err(|failure| not_to_the_end(failure, args.on_error, settings.max_rejects))
}

fn settings(args: &ReadingArgs) -> anyhow::Result<Settings> {
    let max_rejects = match (args.on_error, args.max_rejects) {
        (OnError::Skip, limit) => limit.unwrap_or(u64::MAX),
        (OnError::Stop, None) => 0,
        (OnError::Stop, Some(_)) => {
            return wrong("--max-rejects needs --on-error skip; without it the first bad record ends the run");
        }
    };
    let reader =
        ReaderSettings { max_record_bytes: args.inputs.max_record_bytes as usize, ..ReaderSettings::default() };
    Ok(with_speed(Settings { reader, max_rejects, ..Settings::default() }, &args.speed))
}

/// Tells how many bad records the report knows nothing of.
pub fn tell_skipped(args: &ReadingArgs, rejects: u64) {
    let told = if args.quiet || rejects <= TOLD_REJECTS {
        String::new()
    } else {
        format!(", the first {TOLD_REJECTS} told above")
    };
    match rejects {
        0 => {}
        1 => tell("adseg: 1 bad record skipped"),
        _ => tell(&format!("adseg: {rejects} bad records skipped{told}")),
    }
}
