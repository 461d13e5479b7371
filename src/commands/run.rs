//! `adseg run`: answers every conversion.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, anyhow};

use super::inputs::Inputs;
use super::outputs::{Output, Outputs};
use super::usage::wrong;
use super::{FAILED, INTERRUPTED};
use crate::campaign::{Keep, LoyaltyCustomers, roster};
use crate::cli::{OnError, ProgressWhen, RunArgs, SummaryFormat};
use crate::computation::Deciding;
use crate::encoder::TextEncoder;
use crate::engine::{Counts, Failure, Job, Observer, Outcome, Settings, replay};
use crate::interrupt::interruptible;
use crate::progress::Progress;
use crate::sink::{Rejection, Rejects, Staging};
use crate::source::Input;
use crate::summary::Summary;

/// How many bad records are told one by one when they are skipped.
const TOLD_REJECTS: u64 = 5;

/// Carries out `adseg run`.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let plan = Plan::new(&args)?;
    let (staging, progress) = (Arc::clone(&plan.staging), plan.witness.progress.clone());
    let leaves_files = args.save_loyalty.is_some() || args.rejects.is_some();

    let ended = interruptible(move || plan.carry_out());
    progress.finish();
    match ended {
        Ok(Some(Ok(Ended::Done(outcome)))) => {
            put_in_place(&staging)?;
            report(&args, &Summary::of(&outcome, began.elapsed()))?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(Some(Ok(Ended::ReaderLeft))) => {
            staging.abandon();
            // What else was asked for is not there, and a script must not take it for done.
            Ok(if leaves_files { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
        }
        Ok(Some(Err(error))) => {
            staging.abandon();
            Err(error)
        }
        Ok(None) => {
            staging.abandon();
            Ok(ExitCode::from(INTERRUPTED))
        }
        Err(error) => {
            staging.abandon();
            Err(error).context("cannot start")
        }
    }
}

/// What the arguments mean, checked and opened.
struct Plan {
    settings: Settings,
    job: Job<Deciding, TextEncoder>,
    inputs: Vec<Input>,
    answers: Output,
    list: Option<Output>,
    staging: Arc<Staging>,
    witness: Witness,
    on_error: OnError,
}

/// How a run ended that did not fail.
enum Ended {
    Done(Outcome<LoyaltyCustomers>),
    /// Whoever read the answers has gone away.
    ReaderLeft,
}

impl Plan {
    fn new(args: &RunArgs) -> anyhow::Result<Self> {
        let settings = settings(args)?;
        let inputs = Inputs::new(&args.inputs)?;
        let Outputs { answers, list, rejects, staging } = Outputs::open(args, &inputs)?;
        let keep = if list.is_some() { Keep::Rows } else { Keep::Emails };
        let meter = Arc::new(AtomicU64::new(0));
        let witness = Witness {
            meter: Arc::clone(&meter),
            progress: progress(args, inputs.total_bytes(), &answers),
            rejects,
            untold: if args.quiet { 0 } else { TOLD_REJECTS },
        };
        Ok(Self {
            settings,
            job: Job { computation: Deciding { keep }, encoder: TextEncoder { send_only: args.send_only } },
            inputs: inputs.into_inputs(&meter),
            answers,
            list,
            staging,
            witness,
            on_error: args.on_error,
        })
    }

    fn carry_out(self) -> anyhow::Result<Ended> {
        let Self { settings, job, inputs, answers, list, mut witness, on_error, .. } = self;
        let answers_name = answers.name.clone();
        let outcome = match replay(&job, &settings, inputs, answers.into_writer(), &mut witness) {
            Ok(outcome) => outcome,
            Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Ended::ReaderLeft),
            Err(Failure::Output(error)) => return Err(cannot_write(&answers_name, error)),
            Err(failure @ Failure::BadRecord { .. }) if on_error == OnError::Skip => {
                let allowed = settings.max_rejects;
                return Err(anyhow!("{failure}; that is one more bad record than --max-rejects {allowed} allows"));
            }
            Err(failure) => return Err(failure.into()),
        };
        if let Some(rejects) = witness.rejects.take() {
            rejects.finish().map_err(|error| cannot_write("rejects", error))?;
        }
        if let Some(list) = list {
            let name = list.name.clone();
            save(&outcome.states, list).map_err(|error| cannot_write(&name, error))?;
        }
        Ok(Ended::Done(outcome))
    }
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
    let defaults = Settings::default();
    Ok(Settings {
        partitions: args.partitions,
        threads: args.threads.unwrap_or(defaults.threads),
        max_record_bytes: args.inputs.max_record_bytes as usize,
        max_rejects,
        ..defaults
    })
}

fn progress(args: &RunArgs, total_bytes: Option<u64>, answers: &Output) -> Progress {
    let one_terminal = answers.is_stdout && io::stdout().is_terminal();
    let visible = match args.progress {
        ProgressWhen::Always => true,
        ProgressWhen::Never => false,
        ProgressWhen::Auto => !args.quiet && !one_terminal && io::stderr().is_terminal(),
    };
    if visible { Progress::visible(total_bytes) } else { Progress::hidden() }
}

fn save(partitions: &[LoyaltyCustomers], list: Output) -> io::Result<()> {
    let mut out = BufWriter::new(list.into_writer());
    roster(partitions, &mut out)?;
    out.flush()
}

fn put_in_place(staging: &Staging) -> anyhow::Result<()> {
    staging.put_in_place().map_err(|(path, error)| {
        staging.abandon();
        anyhow!("{}: cannot put in place: {error}", path.display())
    })
}

fn cannot_write(name: &str, error: io::Error) -> anyhow::Error {
    anyhow!("{name}: cannot write: {error}")
}

/// Tells how many records were bad, and the summary if it is wanted.
fn report(args: &RunArgs, summary: &Summary) -> anyhow::Result<()> {
    let records = |count| if count == 1 { "1 bad record".to_owned() } else { format!("{count} bad records") };
    match (&args.rejects, summary.rejects) {
        (_, 0) => {}
        (Some(folder), count) => eprintln!("adseg: {} kept in {}", records(count), folder.display()),
        (None, count) => eprintln!("adseg: {} skipped (--rejects DIR would keep them)", records(count)),
    }
    match args.summary {
        Some(SummaryFormat::Text) => eprintln!("{summary}"),
        Some(SummaryFormat::Json) => eprintln!("{}", summary.to_json()?),
        None => {}
    }
    Ok(())
}

/// Watches the replay: shows progress, tells the first bad records, and keeps all of them if that is wanted.
struct Witness {
    progress: Progress,
    /// How many bytes of the inputs' files have been read.
    meter: Arc<AtomicU64>,
    rejects: Option<Rejects>,
    /// How many more bad records are told.
    untold: u64,
}

impl Observer for Witness {
    fn advanced(&mut self, counts: &Counts) {
        self.progress.advanced(self.meter.load(Ordering::Relaxed), counts.records);
    }

    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        if self.untold > 0 {
            self.untold -= 1;
            self.progress.tell(&format!("adseg: {}: {}", rejection.position, rejection.reason));
        }
        self.rejects.as_mut().map_or(Ok(()), |rejects| rejects.keep(rejection))
    }

    fn rejected_more(&mut self, raw: &[u8]) -> io::Result<()> {
        self.rejects.as_mut().map_or(Ok(()), |rejects| rejects.keep_more(raw))
    }
}
