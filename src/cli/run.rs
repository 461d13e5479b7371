//! `adseg run`: decides each conversion.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::args::{EXIT_CODES, OnError, ReplayArgs, count, usage_error};
use super::file_id::{FileId, is_dash};
use super::files::{Inputs, NamedInput, Output, is_compressed, standard_stream};
use super::input_args::InputArgs;
use super::replay::{RejectObserver, print_rejects, replay_error, settings, write_report};
use super::session::Session;
use crate::analysis::{Decide, DecideState, saved_list};
use crate::engine::{Counts, DecisionOutput, Outcome, ReplayError, replay};
use crate::escape;
use crate::output::{
    CommitOrder, DecisionEncoder, ListFormat, OutputFormat, Rejects, SaveFormat, can_contain_rejects, earlier_rejects,
};
use crate::record::SourceKind;

pub(super) const LONG_ABOUT: &str = "\
Decide each conversion: send an additional promo code or not.

adseg loads the loyalty list, then replays the conversions in order. It writes one line for each conversion:

  Send additional promo code to: playfulwally@fakeemail.com, True

The decision is True for a click by a member and False for everything else. A purchase by a non-member makes the \
customer a member from the next record on.

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
    output: PathBuf,

    /// The format of the decisions
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Output")]
    output_format: OutputFormat,

    /// Write only the decisions to send a code
    #[arg(long, help_heading = "Output")]
    send_only: bool,

    /// Save the members at the end of the run as a loyalty list in FILE, which may be the list that was read
    ///
    /// The list is written in the format of the first list that was read: text, frames, CSV with the same header row and
    /// delimiter, or JSON Lines. A name that ends with .gz or .zst is compressed. Only the columns of a loyalty list are
    /// kept, so a list with other columns cannot be replaced.
    ///
    /// One run at a time can save to a list. A second run fails with exit code 1 before it reads anything. If another
    /// program changes the list during the run, the run fails at its end and changes no file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    save_loyalty: Option<PathBuf>,

    /// The format of the saved list [default: that of the list that was read]
    #[arg(long, value_enum, value_name = "FORMAT", requires = "save_loyalty", help_heading = "Output")]
    save_format: Option<SaveFormat>,

    #[command(flatten)]
    replay: ReplayArgs,

    /// Keep bad records, and the reason for each, in the directory DIR
    ///
    /// Bad records are kept verbatim and in input order, in one file for each source and format (`loyalty.txt`,
    /// `conversions.frames` and so on), so they can be fixed and read again. `errors.jsonl` lists the file, the line or
    /// frame, the byte and the reason of each. The directory must be new, be empty, or contain the rejects of an
    /// earlier run, which are replaced. A new directory is created with its parents; it is removed if there are no
    /// rejects. A failed run keeps no rejects.
    #[arg(long, value_name = "DIR", help_heading = "Bad records")]
    rejects: Option<PathBuf>,

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
    let began = Instant::now();
    let ReplayArgs { bad_records, messages, speed } = &args.replay;
    if args.rejects.is_some() && bad_records.on_error == OnError::Stop {
        return usage_error("--rejects needs --on-error skip; without it the first bad record ends the run");
    }
    let mut settings = settings(&args.inputs, speed, bad_records.allowed()?);
    settings.min_members = args.min_members.unwrap_or(0);
    if let Some(list) = &args.save_loyalty {
        lock_list(list, session)?;
    }
    let mut inputs = Inputs::new(&args.inputs)?;
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
    let (decisions, list, rejects) = open_outputs(args, &inputs, session)?;
    session.show_progress(messages, decisions.is_terminal(), inputs.total_bytes());
    let computation = Decide { keeps_rows: list.is_some() };
    let encoder = DecisionEncoder {
        format: args.output_format,
        send_only: args.send_only,
        with_times: args.inputs.tables.has_times(),
    };
    let output = DecisionOutput { encoder, out: Box::new(decisions.writer()) };
    let mut observer = RejectObserver::new(session, messages, rejects);
    let inputs = inputs.into_inputs(&session.progress);
    let outcome =
        replay(&computation, &settings, inputs, Some(output), &mut observer).map_err(|error| match error {
            ReplayError::Output(error) => decisions.cannot_write(error),
            error @ ReplayError::TooFewMembers { .. } => {
                let files: Vec<_> = args.inputs.loyalty.iter().map(|path| escape::path(path)).collect();
                anyhow!("{}: {error}", files.join(", "))
            }
            error => replay_error(error, bad_records.on_error, settings.max_rejects),
        })?;
    if let Some(rejects) = observer.rejects {
        rejects.finish()?;
    }
    if let Some(list) = list {
        let max_record_bytes = settings.reader.max_record_bytes;
        let as_read = ListFormat::of_input(outcome.list_format.as_ref(), max_record_bytes);
        let format = args.save_format.map_or(as_read.clone(), |format| format.list_format(as_read, max_record_bytes));
        let path = args.save_loyalty.as_deref().expect("an open list has a path");
        write_report(&list, |out| format.write(saved_list(&outcome.states), path, out))?;
    }
    let exit_code = session.commit(ExitCode::SUCCESS)?;
    print_result(args, &Summary::new(&outcome, began.elapsed()), session);
    Ok(exit_code)
}

/// Locks the list that will be saved, before any input is read. Otherwise the run could read a list that another run is
/// about to replace, and undo the changes of that run.
fn lock_list(path: &Path, session: &Session) -> anyhow::Result<()> {
    if standard_stream(path)?.is_some() {
        return Ok(());
    }
    session.staging.lock_list(path).with_context(|| escape::path(path))
}

/// Opens the decisions, the saved list and the rejects, which must not damage an input or each other.
fn open_outputs(
    args: &RunArgs,
    inputs: &Inputs,
    session: &Session,
) -> anyhow::Result<(Output, Option<Output>, Option<Rejects>)> {
    let (folder, save) = (args.rejects.as_deref(), args.save_loyalty.as_deref());
    folder.map(|folder| check_rejects(folder, inputs)).transpose()?;
    save.map(|path| check_list(path, args, inputs)).transpose()?;
    let rejects = folder.map(|folder| Rejects::create(folder, Arc::clone(&session.staging))).transpose()?;
    let decisions = Output::open(&args.output, inputs, session, CommitOrder::Output)?;
    let list = save.map(|path| Output::open_unchecked(path, session, CommitOrder::List)).transpose()?;
    if decisions.is_stdout && list.as_ref().is_some_and(|list| list.is_stdout) {
        return usage_error(
            "the decisions and the saved list cannot both be written to standard output; name a file for one of them",
        );
    }
    Ok((decisions, list, rejects))
}

/// The saved list may replace a loyalty list that was read, because it is committed at the end. Bad rows of that list
/// must not be lost.
fn check_list(path: &Path, args: &RunArgs, inputs: &Inputs) -> anyhow::Result<()> {
    let Some(id) = FileId::of_output(path) else { return Ok(()) };
    let is_standard_stream = standard_stream(path)?.is_some();
    let input = inputs.find(&id);
    if let Some(input) = input.filter(|input| input.source != SourceKind::Loyalty) {
        let input = input.name();
        return usage_error(format!("the saved list would overwrite {input}, which contains conversions"));
    }
    if is_standard_stream || !path.is_file() || inputs.find_other(&id).is_some() {
        // Such an output is written to while the input is open, or is not a list.
        inputs.check_output(path)?;
    }
    let name = escape::path(path);
    let both_are_stdout = is_dash(path) && is_dash(&args.output);
    if !both_are_stdout && FileId::of_output(&args.output).as_ref() == Some(&id) {
        return usage_error(format!("{name} is named for two outputs"));
    }
    if let Some(list) = inputs.replaced_list(&id).filter(|_| !is_standard_stream) {
        let list = list.name();
        bail!(
            "{list}: the loyalty list was deleted or replaced after it was opened; to save to {name} would undo the \
             changes of another run; open the list again"
        );
    }
    if input.map_or(Ok(false), NamedInput::is_partly_read).context("stdin: cannot read")? {
        return usage_error(format!(
            "standard input does not begin at the first row of {name}, and the saved list would not contain the rows \
             before it; use --loyalty {name}"
        ));
    }
    let is_compressed = input.map(|_| is_compressed(path)).transpose();
    if is_compressed.with_context(|| format!("{name}: cannot read"))? == Some(true) && !ListFormat::compresses(path) {
        return usage_error(format!(
            "{name} is compressed, and the saved list would not be; give the list a name that ends with .gz or .zst, or \
             save it to another file"
        ));
    }
    let skips = args.replay.bad_records.on_error == OnError::Skip;
    if skips && args.rejects.is_none() && input.is_some() {
        return usage_error(format!(
            "with --on-error skip, bad rows of {name} would be lost when the saved list replaces it; keep them with \
             --rejects DIR"
        ));
    }
    Ok(())
}

/// Rejects must not replace files of other programs or inputs of this run.
fn check_rejects(folder: &Path, inputs: &Inputs) -> anyhow::Result<()> {
    let name = escape::path(folder);
    let cannot_write = || format!("{name}: cannot write rejects");
    let earlier = earlier_rejects(folder).with_context(cannot_write)?;
    let is_input = |id: FileId| inputs.find(&id).map(NamedInput::name).or_else(|| inputs.find_other(&id));
    if let Some(input) = earlier.iter().filter_map(|path| FileId::of_path(path)).find_map(is_input) {
        return usage_error(format!(
            "{input} is an input and would be replaced by new rejects; name another directory"
        ));
    }
    if !can_contain_rejects(folder).with_context(cannot_write)? {
        return usage_error(format!(
            "{name} contains files that are not rejects of an earlier run; name a new or empty directory"
        ));
    }
    Ok(())
}

/// Prints the number of bad records, and the summary if requested.
fn print_result(args: &RunArgs, summary: &Summary, session: &Session) {
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

/// The summary of a run. Every record is counted in exactly one of `decisions`,
/// `loyalty_rows`, `rejects`, `blanks` and `ignored`.
#[derive(Serialize)]
struct Summary {
    records: u64,
    decisions: u64,
    loyalty_rows: u64,
    rejects: u64,
    blanks: u64,
    /// Conversions that `--type`, `--since` or `--until` ignores.
    ignored: u64,
    clicks: u64,
    baskets: u64,
    purchases: u64,
    codes_to_send: u64,
    /// The customers who became members by a purchase.
    newly_enrolled: u64,
    /// The number of members at the end.
    members: u64,
    /// After decompression.
    bytes: u64,
    seconds: f64,
    records_per_second: f64,
    bytes_per_second: f64,
}

impl Summary {
    fn new(outcome: &Outcome<DecideState>, time: Duration) -> Self {
        let Outcome { states, counts, .. } = outcome;
        let Counts { bytes, records, blanks, rejects, loyalty_rows, clicks, baskets, purchases, ignored } = *counts;
        let seconds = time.as_secs_f64();
        Self {
            records,
            decisions: counts.conversions(),
            loyalty_rows,
            rejects,
            blanks,
            ignored,
            clicks,
            baskets,
            purchases,
            codes_to_send: states.iter().map(|state| state.sent).sum(),
            newly_enrolled: states.iter().map(|state| state.enrolled).sum(),
            members: states.iter().map(|state| state.members() as u64).sum(),
            bytes,
            seconds,
            records_per_second: records as f64 / seconds.max(f64::MIN_POSITIVE),
            bytes_per_second: bytes as f64 / seconds.max(f64::MIN_POSITIVE),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |out: &mut fmt::Formatter<'_>, name: &str, count: u64| writeln!(out, "{name:<22}{count:>12}");
        row(out, "records in", self.records)?;
        row(out, "  decisions", self.decisions)?;
        row(out, "    clicks", self.clicks)?;
        row(out, "    baskets", self.baskets)?;
        row(out, "    purchases", self.purchases)?;
        row(out, "  loyalty rows", self.loyalty_rows)?;
        row(out, "  rejects", self.rejects)?;
        row(out, "  blank lines", self.blanks)?;
        row(out, "  ignored", self.ignored)?;
        row(out, "codes to send", self.codes_to_send)?;
        row(out, "newly enrolled", self.newly_enrolled)?;
        row(out, "members at the end", self.members)?;
        let mb_per_second = self.bytes_per_second / 1e6;
        write!(out, "{:.3} s, {:.0} records/s, {mb_per_second:.1} MB/s", self.seconds, self.records_per_second)
    }
}
