//! `adseg run`: decides each conversion.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::anyhow;
use clap::{Args, ValueEnum};

use super::args::{EXIT_CODES, MessageArgs, OnError, ReplayArgs, count, usage_error};
use super::file_id::is_dash;
use super::files::{Inputs, Output};
use super::input_args::InputArgs;
use super::policy_args::{PolicyArgs, RunData};
use super::replay::{RejectObserver, print_rejects, replay_error, settings, write_report};
use super::run_outputs::{Outputs, lock_outputs};
use super::session::Session;
use super::summary::Summary;
use crate::analysis::{Decide, DecideState, saved_list};
use crate::campaign::Policy;
use crate::engine::{DecisionOutput, Outcome, ReplayError, Sends, Settings, replay};
use crate::escape;
use crate::output::{DecisionEncoder, ListFormat, OutputFormat, Rejects, SaveFormat};

pub(super) const LONG_ABOUT: &str = "\
Decide each conversion: send an additional promo code or not.

adseg loads the loyalty list, then replays the conversions in order. It writes one line for each conversion:

  Send additional promo code to: playfulwally@fakeemail.com, True

The decision is True for a click by a member and False for everything else. A purchase by a non-member makes the \
customer a member from the next record on. A policy can stop codes: for customers who opted out (--suppress), who were \
sent a code before (--ledger) or who are in the control group of the campaign file, and when no code of --codes is left.

A loyalty row is `email, Facebook user, Instagram user, gender`. A conversion is one of:

  promo, ClickConversion, email, where

  promo, BasketConversion, email, [item;item]

  promo, PurchaseConversion, email, [item;item], total cost

CSV or TSV with a header row and JSON Lines are detected. Their columns or keys are email, fb_user, insta_user, gender, \
promo, conversion, where, items and total_cost. A loyalty list needs email; conversions need email and conversion. \
--column maps other names of columns and keys, and --type maps other names of conversion types.

The file name `-` is standard input. If both sources are `-`, standard input is one interleaved stream of loyalty rows \
and conversions in the order in which they happened.";

const EXAMPLES: &str = "\
Examples:
  Decide a log of conversions, and write only the decisions to send a code:
    adseg run --loyalty loyalty.txt --conversions conversions.txt --send-only

  Read exports whose columns have other names; CSV, TSV and JSON Lines are detected:
    adseg run --loyalty crm.csv --column loyalty.email=customer_email \\
      --conversions events.jsonl --column conversions.email=user.email --type click=ad_click --type ignore=page_view

  Read a list with one email per line:
    adseg run --loyalty emails.txt --loyalty-columns email --conversions events.csv

  Decide one day of a log with times:
    adseg run --loyalty loyalty.csv --conversions log.csv --time-column ts --since 2024-05-01 --until 2024-05-02

  Read several files in order, and write to a file:
    adseg run --loyalty loyalty.txt --conversions mon.txt tue.txt -o codes.txt

  Decide conversions as they arrive:
    tail -n +1 -f conversions.txt | adseg run --loyalty loyalty.txt --conversions -

  Decide a night with a policy: suppression, one code for each customer and promo, single-use codes:
    adseg run --campaign spring.toml --loyalty 2026-03-01/members.csv --conversions 2026-03-02.csv \\
      --suppress suppressed.txt --ledger ledger.csv --run-id 2026-03-02 --codes codes.txt \\
      --output-format csv -o 2026-03-02/codes.csv --save-loyalty 2026-03-02/members.csv

  Keep bad records in a directory, and save the list for the next run:
    adseg run --loyalty loyalty.txt --conversions conversions.txt \\
      --on-error skip --rejects rejects --save-loyalty tomorrow.txt -o codes.txt --summary";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct RunArgs {
    #[command(flatten)]
    pub inputs: InputArgs,

    /// Fail before the first decision if the loyalty list has fewer than N members
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Inputs")]
    min_members: Option<u64>,

    /// Write the decisions to FILE, which is replaced at the end of the run; `-` is standard output
    ///
    /// Output is fsynced and renamed into place before the saved list is replaced. A killed run (`kill -9`, a system
    /// crash) can leave temporary files. Their names begin with `.adseg-`, and they can be deleted.
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true, help_heading = "Output")]
    pub output: PathBuf,

    /// The format of the decisions
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Output")]
    pub output_format: OutputFormat,

    /// Write only the decisions to send a code
    #[arg(long, help_heading = "Output")]
    pub send_only: bool,

    /// Save the members at the end of the run as a loyalty list in FILE, which may be the list that was read
    ///
    /// The list is written in the format of the first list that was read: text, frames, CSV with the same header row and
    /// delimiter, or JSON Lines. A name that ends with .gz or .zst is compressed. Only the columns of a loyalty list are
    /// kept, so a list with other columns cannot be replaced.
    ///
    /// One run at a time can save to a list. A second run fails with exit code 1 before it reads anything. If another
    /// program changes the list during the run, the run fails at its end and changes no file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub save_loyalty: Option<PathBuf>,

    /// The format of the saved list [default: that of the list that was read]
    #[arg(long, value_enum, value_name = "FORMAT", requires = "save_loyalty", help_heading = "Output")]
    pub save_format: Option<SaveFormat>,

    #[command(flatten)]
    pub policy: PolicyArgs,

    /// Send each code of FILE once: one code per line, or CSV with the columns promo,code
    ///
    /// Each decision to send a code gets the next code of its promo that no row of the ledger has. FILE is never
    /// changed. If there are too few codes, the run fails and changes no file, unless the campaign file sets
    /// `when_exhausted = "withhold"`. Needs --ledger, --output, and --output-format csv or jsonl.
    #[arg(long, value_name = "FILE", requires = "ledger", help_heading = "Policy")]
    pub codes: Option<PathBuf>,

    #[cfg(feature = "cluster")]
    #[command(flatten)]
    pub cluster: super::cluster_args::ClusterArgs,

    #[command(flatten)]
    pub replay: ReplayArgs,

    /// Keep bad records, and the reason for each, in the directory DIR
    ///
    /// Bad records are kept verbatim and in input order, in one file for each source and format (`loyalty.txt`,
    /// `conversions.frames` and so on), so they can be fixed and read again. `errors.jsonl` lists the file, the line or
    /// frame, the byte and the reason of each. The directory must be new, be empty, or contain the rejects of an
    /// earlier run, which are replaced. A new directory is created with its parents; it is removed if there are no
    /// rejects. A failed run keeps no rejects.
    #[arg(long, value_name = "DIR", help_heading = "Bad records")]
    pub rejects: Option<PathBuf>,

    /// Print the counts of records, decisions and members on standard error
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Messages")]
    #[arg(num_args = 0..=1, default_missing_value = "text")]
    summary: Option<SummaryFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SummaryFormat {
    /// A human-readable table
    Text,
    /// One line of JSON
    Json,
}

pub fn run(args: &RunArgs, session: &Session) -> anyhow::Result<ExitCode> {
    #[cfg(feature = "cluster")]
    if let Some(role) = args.cluster.role()? {
        return super::cluster::run(args, role, session);
    }
    let began = Instant::now();
    check_policy(args)?;
    lock_outputs(args, session)?;
    let (settings, mut inputs) = prepare(args)?;
    let Outputs { decisions, list, ledger, rejects } = Outputs::open(args, &inputs, session)?;
    let messages = &args.replay.messages;
    session.show_progress(messages, decisions.is_terminal(), inputs.total_bytes());
    let (policy, data) = load_policy(args, &settings, ledger.as_ref(), &mut inputs, (messages, session))?;
    let computation = Decide { keeps_rows: list.is_some(), policy: &policy };
    let sends = data.map(|RunData { rows, codes }| Sends::new(&policy, codes, Box::new(rows)));
    let output = DecisionOutput { encoder: encoder(args, &policy), sends, out: Box::new(decisions.writer()) };
    let mut observer = RejectObserver::new(session, messages, rejects);
    let inputs = inputs.into_inputs(&session.progress);
    let outcome =
        replay(&computation, &settings, inputs, Some(output), &mut observer).map_err(|error| match error {
            ReplayError::Output(error) => decisions.cannot_write(error),
            ReplayError::Ledger(error) => ledger.expect("the run has a ledger").cannot_write(error),
            error => failure(error, args, &settings),
        })?;
    finish(args, &settings, &outcome, list.as_ref(), observer.rejects)?;
    let exit_code = session.commit(ExitCode::SUCCESS)?;
    print_result(args, &Summary::new(&outcome, &policy, began.elapsed()), session);
    Ok(exit_code)
}

/// The settings and the inputs, after checking the arguments.
pub fn prepare(args: &RunArgs) -> anyhow::Result<(Settings, Inputs)> {
    let ReplayArgs { bad_records, speed, .. } = &args.replay;
    if args.rejects.is_some() && bad_records.on_error == OnError::Stop {
        return usage_error("--rejects needs --on-error skip; without it the first bad record ends the run");
    }
    let mut settings = settings(&args.inputs, speed, bad_records.allowed()?);
    settings.min_members = args.min_members.unwrap_or(0);
    let mut inputs = Inputs::new(&args.inputs)?;
    inputs.add_suppressions(&args.policy.suppress)?;
    args.codes.iter().for_each(|codes| inputs.add_other(codes));
    if args.min_members.is_some() && inputs.is_interleaved() {
        return usage_error(
            "--min-members cannot be used with an interleaved stream, which has no separate loyalty list",
        );
    }
    if let Some(list) = &args.save_loyalty {
        settings.replaced_list = inputs.keep_columns_of(list);
    }
    if settings.replaced_list.is_some() && args.save_format.is_some() {
        return usage_error("a list that is replaced keeps its format; save to another file to change it");
    }
    Ok((settings, inputs))
}

/// The policy, and the new ledger with the codes if the ledger is open for writing.
pub fn load_policy(
    args: &RunArgs,
    settings: &Settings,
    ledger: Option<&Output>,
    inputs: &mut Inputs,
    (messages, session): (&MessageArgs, &Session),
) -> anyhow::Result<(Policy, Option<RunData>)> {
    let rules = args.policy.rules(&args.inputs.policy);
    let codes = args.codes.as_deref();
    let (old_ledger, data) = args.policy.load_ledger_and_codes(&rules, codes, ledger, messages, session)?;
    let suppression = args.policy.load_suppression(inputs, settings, messages, session)?;
    Ok((Policy::new(rules, suppression, old_ledger), data))
}

pub fn encoder(args: &RunArgs, policy: &Policy) -> DecisionEncoder {
    DecisionEncoder {
        format: args.output_format,
        send_only: args.send_only,
        with_times: args.inputs.tables.has_times(),
        with_policy: policy.has_gates(),
    }
}

/// The message for a replay that failed.
pub fn failure(error: ReplayError, args: &RunArgs, settings: &Settings) -> anyhow::Error {
    match error {
        error @ ReplayError::TooFewMembers { .. } => {
            let files: Vec<_> = args.inputs.loyalty.iter().map(|path| escape::path(path)).collect();
            anyhow!("{}: {error}", files.join(", "))
        }
        error @ ReplayError::TooFewCodes(_) => {
            let codes = args.codes.as_deref().expect("codes are handed out");
            anyhow!("{}: {error}", escape::path(codes))
        }
        error => replay_error(error, args.replay.bad_records.on_error, settings.max_rejects),
    }
}

/// Writes the rest of the rejects, and the saved list.
pub fn finish(
    args: &RunArgs,
    settings: &Settings,
    outcome: &Outcome<DecideState<'_>>,
    list: Option<&Output>,
    rejects: Option<Rejects>,
) -> anyhow::Result<()> {
    rejects.map(Rejects::finish).transpose()?;
    let Some(list) = list else { return Ok(()) };
    let max_record_bytes = settings.reader.max_record_bytes;
    let as_read = ListFormat::of_input(outcome.list_format.as_ref(), max_record_bytes);
    let format = args.save_format.map_or(as_read.clone(), |format| format.list_format(as_read, max_record_bytes));
    let path = args.save_loyalty.as_deref().expect("an open list has a path");
    write_report(list, |out| format.write(saved_list(&outcome.states), path, out))
}

pub fn check_policy(args: &RunArgs) -> anyhow::Result<()> {
    let PolicyArgs { ledger, run_id, .. } = &args.policy;
    if ledger.is_some() && run_id.is_none() {
        return usage_error(
            "--ledger needs --run-id, the name of this run, such as a date; use the same one to repeat the run",
        );
    }
    if args.codes.as_deref().is_some_and(is_dash) {
        return usage_error("--codes cannot be standard input; name a file");
    }
    if args.codes.is_some() && !matches!(args.output_format, OutputFormat::Csv | OutputFormat::Jsonl) {
        return usage_error("--codes needs --output-format csv or jsonl; the other formats have no place for a code");
    }
    Ok(())
}

/// Prints the number of bad records, and the summary if requested.
pub fn print_result(args: &RunArgs, summary: &Summary, session: &Session) {
    let (done, hint) = match &args.rejects {
        Some(folder) => (format!("kept in {}", escape::path(folder)), ""),
        None => ("skipped".to_owned(), " (--rejects DIR keeps them)"),
    };
    print_rejects(summary.rejects, &done, hint, session, &args.replay.messages);
    match args.summary {
        Some(SummaryFormat::Text) => session.progress.print(&summary.to_string()),
        Some(SummaryFormat::Json) => session.progress.print(&escape::json_string(summary)),
        None => {}
    }
}
