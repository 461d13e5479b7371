//! `adseg run`: answers every conversion.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::anyhow;

use super::inputs::Inputs;
use super::outputs::{Output, Outputs, claim_list};
use super::session::{Ended, Session, reader_left_or, session};
use super::usage::wrong;
use super::with_speed;
use crate::campaign::{Keep, LoyaltyCustomers};
use crate::cli::{OnError, OutputFormatArg, RunArgs, SummaryFormat};
use crate::computation::Deciding;
use crate::encoder::{DecisionEncoder, OutputFormat, write_list};
use crate::engine::{Counts, Failure, Job, Observer, Outcome, Settings, replay};
use crate::messages::{shown, tell};
use crate::progress::Progress;
use crate::sink::{Rejection, Rejects};
use crate::source::{ReaderSettings, SourceError};
use crate::summary::Summary;

/// How many bad records are told one by one when they are skipped.
pub(super) const TOLD_REJECTS: u64 = 5;

/// Carries out `adseg run`.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let finish = session(move |session| Ok(carry_out(&args, session)?.map(|outcome| (args, outcome))))?;
    finish.exit_code(|(args, outcome)| {
        report(&args, &Summary::of(&outcome, began.elapsed()))?;
        Ok(ExitCode::SUCCESS)
    })
}

fn carry_out(args: &RunArgs, session: &Session) -> anyhow::Result<Ended<Outcome<LoyaltyCustomers>>> {
    let settings = settings(args)?;
    if let Some(list) = &args.save_loyalty {
        claim_list(list, &session.staging)?;
    }
    let inputs = Inputs::new(&args.inputs)?;
    let Outputs { answers, list, rejects } = Outputs::open(args, &inputs, &session.staging)?;
    let on_terminal = answers.is_stdout && io::stdout().is_terminal();
    session.show_progress(args.progress, args.quiet, on_terminal, inputs.total_bytes());
    let job = Job {
        computation: Deciding { keep: if list.is_some() { Keep::Rows } else { Keep::Emails } },
        encoder: DecisionEncoder { format: output_format(args.output_format), send_only: args.send_only },
    };
    let mut witness =
        Witness { progress: session.progress.clone(), rejects, untold: if args.quiet { 0 } else { TOLD_REJECTS } };
    let inputs = inputs.into_inputs(session.progress.meter());
    let answers_name = answers.name.clone();
    let outcome = match replay(&job, &settings, inputs, answers.into_writer(), &mut witness) {
        Ok(outcome) => outcome,
        Err(Failure::Output(error)) => return reader_left_or(&answers_name, error),
        Err(failure) => return Err(not_to_the_end(failure, args.on_error, settings.max_rejects)),
    };
    if let Some(rejects) = witness.rejects {
        rejects.finish().map_err(cannot_keep)?;
    }
    if let Some(list) = list {
        let name = list.name.clone();
        if let Err(error) = save(&outcome.states, settings.reader.max_record_bytes, list) {
            return reader_left_or(&name, error);
        }
    }
    Ok(Ended::Done(outcome))
}

fn settings(args: &RunArgs) -> anyhow::Result<Settings> {
    let max_rejects = match (args.on_error, args.max_rejects) {
        (OnError::Skip, limit) => limit.unwrap_or(u64::MAX),
        (OnError::Stop, None) if args.rejects.is_none() => 0,
        (OnError::Stop, _) => {
            return wrong(
                "--rejects and --max-rejects need --on-error skip; without it the first bad record ends the run",
            );
        }
    };
    let reader =
        ReaderSettings { max_record_bytes: args.inputs.max_record_bytes as usize, ..ReaderSettings::default() };
    Ok(with_speed(Settings { reader, max_rejects, ..Settings::default() }, &args.speed))
}

/// Why a replay did not reach the end, and which option had to do with it.
pub(super) fn not_to_the_end(failure: Failure, on_error: OnError, allowed: u64) -> anyhow::Error {
    match (&failure, on_error) {
        (Failure::BadRecord { .. }, OnError::Skip) => {
            anyhow!("{failure}; that is one more bad record than --max-rejects {allowed} allows")
        }
        _ => failure.into(),
    }
}

const fn output_format(format: OutputFormatArg) -> OutputFormat {
    match format {
        OutputFormatArg::Text => OutputFormat::Text,
        OutputFormatArg::Framed => OutputFormat::Framed,
        OutputFormatArg::Jsonl => OutputFormat::Jsonl,
        OutputFormatArg::Csv => OutputFormat::Csv,
    }
}

/// Saves the list; no row is longer than a record that a later run takes.
fn save(partitions: &[LoyaltyCustomers], max_record_bytes: usize, list: Output) -> io::Result<()> {
    let mut out = BufWriter::new(list.into_writer());
    write_list(partitions, max_record_bytes, &mut out)?;
    out.flush()
}

fn cannot_keep(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot keep the rejects: {error}"))
}

/// Tells how many records were bad, and the summary if it is wanted.
fn report(args: &RunArgs, summary: &Summary) -> anyhow::Result<()> {
    let records = match summary.rejects {
        1 => "1 bad record".to_owned(),
        count => format!("{count} bad records"),
    };
    let told = if args.quiet || summary.rejects <= TOLD_REJECTS {
        String::new()
    } else {
        format!(", the first {TOLD_REJECTS} told above")
    };
    match (&args.rejects, summary.rejects) {
        (_, 0) => {}
        (Some(folder), _) => tell(&format!("adseg: {records} kept in {}{told}", shown(folder))),
        (None, _) => tell(&format!("adseg: {records} skipped{told} (--rejects DIR would keep them)")),
    }
    match args.summary {
        Some(SummaryFormat::Text) => tell(&summary.to_string()),
        Some(SummaryFormat::Json) => tell(&summary.to_json()?),
        None => {}
    }
    Ok(())
}

/// Watches the replay: shows progress, tells the first bad records, and keeps all of them if that is wanted.
pub(super) struct Witness {
    pub(super) progress: Progress,
    pub(super) rejects: Option<Rejects>,
    /// How many more bad records are told.
    pub(super) untold: u64,
}

impl Observer for Witness {
    fn advanced(&mut self, counts: &Counts) {
        self.progress.advanced(counts.records);
    }

    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        if self.untold > 0 {
            self.untold -= 1;
            self.progress.tell(&format!("adseg: {}: {}", rejection.position, rejection.reason));
        }
        self.rejects.as_mut().map_or(Ok(()), |rejects| rejects.keep(rejection)).map_err(cannot_keep)
    }

    fn rejected_more(&mut self, raw: &[u8]) -> io::Result<()> {
        self.rejects.as_mut().map_or(Ok(()), |rejects| rejects.keep_more(raw)).map_err(cannot_keep)
    }

    /// Damage ends a run, which tells of it then.
    fn damaged(&mut self, _error: &SourceError) -> io::Result<()> {
        Ok(())
    }
}
