//! `adseg order-check`: reports the clicks whose decision depends on the order of the conversions files.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::args::{CHECK_EXIT_CODES, FINDINGS, ReplayArgs, ReportFormat, ReportOutputArgs};
use super::files::{Inputs, Output};
use super::input_args::InputArgs;
use super::replay::{analyze, commit_report, plural, write_report};
use super::session::Session;
use crate::analysis::{DependentClicks, OrderCheck};
use crate::escape::{self, Escaped, json_line};
use crate::location::{LineIndex, Location};
use crate::output::CommitOrder;

pub(super) const LONG_ABOUT: &str = "\
Report the clicks whose decision depends on the order of the conversions files.

Several files are read in the order given, as if they were one. If each file contains a different type of conversion, \
the order of the files determines who gets a code: with the purchases first, every buyer is a member when they click; \
with the clicks first, none are. A click depends on the order if its customer is not on the loyalty list, has not \
bought earlier in the same file, and has bought in another file. It gets a code if that file comes first.

The report shows the number of these clicks, and how many of them get a code in the order given. For each click it \
shows the customer's first purchase in another file, in the order given: the purchase that causes the code, or would \
cause it. The summary by files counts each click once, for that purchase. The right order is the order in which the \
conversions happened.

The exit code is 0 if no click depends on the order, 1 if one does, and 2 if the inputs could not be checked, for \
example because of a bad record without --on-error skip. With a single file or one interleaved stream no click can \
depend on the order, and the contents of the inputs are not checked.";

const EXAMPLES: &str = "\
Examples:
  Check whether the order of the files matters:
    adseg order-check --loyalty loyalty.txt --conversions clicks.txt baskets.txt purchases.txt

  List every click that depends on the order, for a program:
    adseg order-check --loyalty loyalty.txt --conversions *.log.gz --format jsonl | jq 'select(.kind == \"click\")'";

/// The maximum number of customers in the text report without `--all`.
const LISTED_CLICKS: usize = 10;

/// The maximum number of pairs of files in the text report without `--all`.
const LISTED_PAIRS: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = CHECK_EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{CHECK_EXIT_CODES}"))]
pub struct OrderCheckArgs {
    #[command(flatten)]
    pub inputs: InputArgs,

    #[command(flatten)]
    report: ReportOutputArgs,

    /// List every click, as jsonl always does; by default, only each customer's first click in each file, for the first
    /// ten customers
    #[arg(long, help_heading = "Report")]
    all: bool,

    #[command(flatten)]
    replay: ReplayArgs,
}

pub fn order_check(args: &OrderCheckArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let inputs = Inputs::new(&args.inputs)?;
    let output = Output::open(&args.report.output, &inputs, session, CommitOrder::Output)?;
    let (every_click, files) = (args.all || args.report.format == ReportFormat::Jsonl, inputs.conversions());
    let (clicks, line_index, skipped) = if files.len() < 2 {
        (Vec::new(), LineIndex::default(), 0)
    } else {
        let outcome = analyze(&OrderCheck { every_click }, inputs, &args.inputs, &args.replay, &output, session)?;
        (DependentClicks::merge(outcome.states), outcome.line_index, outcome.counts.rejects)
    };
    let report = OrderReport { files, clicks: &clicks, line_index: &line_index };
    write_report(&output, |out| match args.report.format {
        ReportFormat::Text => report.write_text(every_click, out),
        ReportFormat::Jsonl => report.write_jsonl(out),
    })?;
    commit_report(if clicks.is_empty() { 0 } else { FINDINGS }, session, &args.replay, skipped)
}

struct OrderReport<'a> {
    /// The index and the path of each conversions file, in the order of the indexes.
    files: Vec<(usize, PathBuf)>,
    clicks: &'a [DependentClicks],
    line_index: &'a LineIndex,
}

/// A line of the list: one click, or the first of the clicks of one customer in one file.
struct ListedClick<'a> {
    number: u64,
    /// The number of clicks that it represents.
    count: u64,
    clicks: &'a DependentClicks,
}

impl OrderReport<'_> {
    fn total(&self) -> u64 {
        self.clicks.iter().map(|clicks| clicks.count).sum()
    }

    /// The number of these clicks that get a code in the order given.
    fn codes(&self) -> u64 {
        self.clicks.iter().filter(|clicks| clicks.send).map(|clicks| clicks.count).sum()
    }

    /// The clicks in input order: every click, or the first one of each customer in a file.
    fn list(&self, every_click: bool) -> Vec<ListedClick<'_>> {
        let mut list = Vec::new();
        for clicks in self.clicks {
            let count = if every_click { 1 } else { clicks.count };
            let numbers = std::iter::once(&clicks.first).chain(&clicks.others);
            list.extend(numbers.map(|&number| ListedClick { number, count, clicks }));
        }
        list.sort_unstable_by_key(|click| click.number);
        list
    }

    /// The number of clicks in the first file of a pair whose first purchase elsewhere is in the second. Each click
    /// counts once.
    fn pairs(&self) -> BTreeMap<(usize, usize), u64> {
        let mut pairs = BTreeMap::new();
        for clicks in self.clicks {
            *pairs.entry((clicks.input, clicks.bought.0)).or_default() += clicks.count;
        }
        pairs
    }

    fn path(&self, input: usize) -> &Path {
        let file = self.files.binary_search_by_key(&input, |(index, _)| *index);
        &self.files[file.expect("clicks and purchases are in conversions files")].1
    }

    fn write_text(&self, every_click: bool, out: &mut impl Write) -> io::Result<()> {
        if self.clicks.is_empty() {
            let only = if self.files.len() == 1 { ": there is only one" } else { "" };
            return writeln!(out, "no click depends on the order of the conversions files{only}");
        }
        let codes = self.codes();
        let get = if codes == 1 { "gets" } else { "get" };
        let clicks = clicks_depend(self.total());
        writeln!(
            out,
            "{clicks} on the order of the conversions files; in the order given, {codes} of them {get} a code"
        )?;
        let list = self.list(every_click);
        let listed = if every_click { &list } else { &list[..LISTED_CLICKS.min(list.len())] };
        self.write_clicks(listed, out)?;
        if let more @ 1.. = list.len() - listed.len() {
            writeln!(out, "  and clicks of {more} more (--all lists every click)")?;
        }
        writeln!(out)?;
        self.write_pairs(every_click, out)
    }

    /// Writes the pairs of files, those with the most clicks first.
    fn write_pairs(&self, every_pair: bool, out: &mut impl Write) -> io::Result<()> {
        let mut pairs: Vec<_> = self.pairs().into_iter().collect();
        pairs.sort_by_key(|(_, clicks)| Reverse(*clicks));
        let listed = if every_pair { &pairs[..] } else { &pairs[..LISTED_PAIRS.min(pairs.len())] };
        for ((clicked_in, bought_in), clicks) in listed {
            let (clicked_in, bought_in) = (escape::path(self.path(*clicked_in)), escape::path(self.path(*bought_in)));
            writeln!(out, "in {clicked_in}, {} on purchases in {bought_in}", clicks_depend(*clicks))?;
        }
        match pairs.len() - listed.len() {
            0 => Ok(()),
            more => writeln!(out, "and clicks on purchases in {more} more pairs of files (--all lists every pair)"),
        }
    }

    fn write_clicks(&self, list: &[ListedClick<'_>], out: &mut impl Write) -> io::Result<()> {
        let location = |click: &ListedClick<'_>| self.line_index.location(click.number).to_string();
        let email = |click: &ListedClick<'_>| Escaped(&click.clicks.email).to_string();
        let width = |of: &dyn Fn(&ListedClick<'_>) -> String| list.iter().map(|click| of(click).chars().count()).max();
        let (location_width, email_width) = (width(&location).unwrap_or(0), width(&email).unwrap_or(0));
        for click in list {
            let (location, email) = (location(click), email(click));
            let decision = if click.clicks.send { "True" } else { "False" };
            let bought = self.line_index.location(click.clicks.bought.1);
            let files = match click.clicks.bought_in_files - 1 {
                0 => String::new(),
                more => format!(" (and in {})", plural(more, "more file")),
            };
            let more = match click.count - 1 {
                0 => String::new(),
                more => format!("; {} like this", plural(more, "more click")),
            };
            writeln!(
                out,
                "  {location:location_width$}  {email:email_width$}  {decision:<5}  bought at {bought}{files}{more}"
            )?;
        }
        Ok(())
    }

    fn write_jsonl(&self, out: &mut impl Write) -> io::Result<()> {
        for ListedClick { number, clicks, .. } in self.list(true) {
            let line = Line::Click {
                at: self.line_index.location(number),
                email: String::from_utf8_lossy(&clicks.email),
                send: clicks.send,
                bought: self.line_index.location(clicks.bought.1),
                bought_in_files: clicks.bought_in_files,
            };
            json_line(&line, &mut *out)?;
        }
        for ((clicked_in, bought_in), clicks) in self.pairs() {
            let [clicked_in, bought_in] = [clicked_in, bought_in].map(|input| self.path(input).to_string_lossy());
            json_line(&Line::Pair { clicked_in, bought_in, clicks }, &mut *out)?;
        }
        json_line(&Line::Summary { clicks: self.total(), codes: self.codes() }, out)
    }
}

/// `1 click depends`, `2 clicks depend`.
fn clicks_depend(clicks: u64) -> String {
    if clicks == 1 { "1 click depends".to_owned() } else { format!("{clicks} clicks depend") }
}

/// A line of the JSONL report.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    Click {
        #[serde(flatten)]
        at: Location,
        email: Cow<'a, str>,
        /// The decision in the order given.
        send: bool,
        /// The customer's first purchase in another file.
        bought: Location,
        /// The number of other files in which the customer bought.
        bought_in_files: u64,
    },
    /// The number of clicks in one file whose `bought` is in another.
    Pair { clicked_in: Cow<'a, str>, bought_in: Cow<'a, str>, clicks: u64 },
    Summary {
        clicks: u64,
        /// The number of these clicks that get a code in the order given.
        codes: u64,
    },
}
