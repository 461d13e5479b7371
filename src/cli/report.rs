//! `adseg report`: counts the conversions of a campaign, and writes the figures as text, JSON, CSV or an HTML page.

use std::env;
use std::io::Write;
use std::iter;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::args::{EXIT_CODES, ReplayArgs, count, usage_error};
use super::files::{Inputs, Output};
use super::input_args::InputArgs;
use super::policy_args::PolicyArgs;
use super::replay::{analyze, commit_report, write_report};
use super::session::Session;
use crate::campaign::{Ledger, Policy};
use crate::engine::InputCounts;
use crate::escape;
use crate::output::CommitOrder;
use crate::record::SourceKind;
use crate::report::{CountCampaign, Head, Report, Totals, csv, json, page, text};

pub(super) const LONG_ABOUT: &str = "\
Report campaign figures: clicks, customers, codes, purchases, revenue and new members.

report replays the campaign by the same rule and policy as adseg run. It shows clicks, codes, purchases, exact revenue and new \
members, with their rates; the funnel from click to basket to purchase; a timeline; promos, channels and items; and \
members by gender. It compares customers who were members at their first conversion with non-members.

With a policy, the codes are those that it does not stop, and decisions are counted by reason and promo. With --ledger, \
the report compares the purchases of the customers whom earlier runs sent a code with those of the customers whom they \
held out. These purchases must be made after the runs: use the conversions that followed. report hands out no codes and \
changes no ledger.

By default the report is printed as tables. --html FILE also writes a self-contained HTML page with charts. \
docs/report.md and the end of the page define each figure.

The text and the page show the version of adseg and the date, in UTC, which SOURCE_DATE_EPOCH replaces. Everything else, \
and all of JSON and CSV, depends only on the inputs and the options.";

const EXAMPLES: &str = "\
Examples:
  Print the report:
    adseg report --loyalty loyalty.txt --conversions conversions.txt

  Write only the HTML page:
    adseg report --loyalty loyalty.txt --conversions conversions.txt --title Spring --html report.html -o /dev/null

  Print the channels as JSON, for a script:
    adseg report --loyalty loyalty.txt --conversions conversions.txt --format json | jq .channels

  Show whether the codes of earlier nights increased the purchases of the next one:
    adseg report --loyalty loyalty.txt --conversions next.txt --campaign spring.toml --ledger ledger.csv

  Write CSV for a spreadsheet, one figure per row:
    adseg report --loyalty loyalty.txt --conversions conversions.txt --format csv -o report.csv";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct ReportArgs {
    #[command(flatten)]
    pub inputs: InputArgs,

    /// The format of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Report")]
    format: Format,

    /// Write the report to FILE, which is replaced when the report is complete; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true, help_heading = "Report")]
    output: PathBuf,

    /// Also write the report as an HTML page with charts to FILE; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    html: Option<PathBuf>,

    /// The number of promos, channels and items in the text tables and on the page; json and csv contain all
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = count, allow_negative_numbers = true)]
    #[arg(help_heading = "Report")]
    top: u64,

    /// The title of the report [default: the names of its promos, if there are at most three]
    #[arg(long, value_name = "TEXT", help_heading = "Report")]
    title: Option<String>,

    /// Leave out the version and the date, so that the report depends only on the inputs
    #[arg(long, help_heading = "Report")]
    reproducible: bool,

    #[command(flatten)]
    policy: PolicyArgs,

    #[command(flatten)]
    replay: ReplayArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// Human-readable tables
    #[default]
    Text,
    /// One JSON document with all tables
    Json,
    /// CSV with one figure per row: table, name, channel, figure, value
    Csv,
}

pub fn report(args: &ReportArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let mut inputs = Inputs::new(&args.inputs)?;
    args.policy.ledger.iter().for_each(|path| inputs.add_other(path));
    inputs.add_suppressions(&args.policy.suppress)?;
    let open = |path: &PathBuf| Output::open(path, &inputs, session, CommitOrder::Output);
    let report = open(&args.output)?;
    let html = args.html.as_ref().map(open).transpose()?;
    if report.is_stdout && html.as_ref().is_some_and(|html| html.is_stdout) {
        return usage_error(
            "the report and the page cannot both be written to standard output; name a file for one of them",
        );
    }
    let top = usize::try_from(args.top).unwrap_or(usize::MAX);
    let made = if args.reproducible { None } else { Some(version_and_date()?) };
    let title = args.title.as_deref().filter(|title| !title.trim().is_empty()).map(escape::text);
    let names = inputs.names_and_sources();
    let policy = &args.policy.load(true, &args.inputs, &mut inputs, &args.replay, session)?;
    let outcome = analyze(&CountCampaign { policy }, inputs, &args.inputs, &args.replay, &report, session)?;
    let counts = outcome.inputs.into_iter().chain(iter::repeat(InputCounts::default()));
    let of_inputs = names.into_iter().zip(counts).map(|((name, source), counts)| (name, source_name(source), counts));
    let head = Head { title, made, inputs: of_inputs.collect() };
    let totals = Totals::merge(outcome.states, policy);
    if !args.replay.messages.quiet {
        print_warnings(args, policy, &totals, session);
    }
    let content = Report::new(head, &totals, &outcome.counts, top);
    if let Some(html) = html {
        write_report(&html, |out| out.write_all(page(&content).as_bytes()))?;
    }
    write_report(&report, |out| match args.format {
        Format::Text => out.write_all(text(&content, report.is_terminal()).as_bytes()),
        Format::Json => out.write_all(json(&content.tables()).as_bytes()),
        Format::Csv => out.write_all(&csv(&content.tables())),
    })?;
    commit_report(0, session, &args.replay, outcome.counts.rejects)
}

/// What a reader of the report must know about the ledger and the promos of the campaign file.
fn print_warnings(args: &ReportArgs, policy: &Policy, totals: &Totals, session: &Session) {
    let print = |line: String| session.progress.print(&format!("adseg: {line}"));
    if let (Some(path), Some(groups)) = (&args.policy.ledger, policy.ledger().and_then(Ledger::groups)) {
        let path = escape::path(path);
        if let Some(runs) = groups.later_runs().display() {
            let own = escape::text(args.policy.run_id.as_deref().expect("later runs follow a run with an id"));
            print(format!("warning: {path}: runs after {own} are in the ledger and do not count in the lift: {runs}"));
        }
        if let (None, Some(runs)) = (&args.policy.run_id, groups.earlier_runs().display()) {
            print(format!(
                "note: {path}: without --run-id, all runs in the ledger count as earlier ones than the conversions: {runs}"
            ));
        }
        totals.warning().into_iter().for_each(|warning| print(format!("warning: {path}: {warning}")));
    }
    let (absent, path) = (totals.absent_promos(policy), &args.inputs.campaign);
    if let (Some(promos), Some(path)) = (absent, path) {
        let path = escape::path(path);
        print(format!("warning: {path}: promos that occur in no conversion: {promos}; is a name misspelled?"));
    }
}

const fn source_name(source: SourceKind) -> &'static str {
    match source {
        SourceKind::Loyalty => "loyalty list",
        SourceKind::Conversions => "conversions",
        SourceKind::Interleaved => "both, interleaved",
        SourceKind::Suppression => "suppression list",
    }
}

/// The version of adseg and today's date in UTC, or the date that `SOURCE_DATE_EPOCH` gives.
fn version_and_date() -> anyhow::Result<String> {
    let now = match env::var_os("SOURCE_DATE_EPOCH") {
        None => Timestamp::now(),
        Some(text) => match text.to_str().and_then(|text| text.parse().ok()).map(Timestamp::from_second) {
            Some(Ok(time)) => time,
            Some(Err(_)) => return usage_error("SOURCE_DATE_EPOCH is after the year 9999; correct or unset it"),
            None => return usage_error("SOURCE_DATE_EPOCH is not a number of seconds since 1970; correct or unset it"),
        },
    };
    Ok(format!("adseg {}, made on {}", env!("CARGO_PKG_VERSION"), now.to_zoned(TimeZone::UTC).date()))
}
