//! `adseg diff`: compares the decisions under two campaign files.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::args::{DIFF_EXIT_CODES, FINDINGS, ReplayArgs, ReportFormat, ReportOutputArgs, usage_error};
use super::campaign_file::add_two_campaign_files;
use super::files::{Inputs, Output};
use super::input_args::InputArgs;
use super::policy_args::PolicyArgs;
use super::replay::{analyze, commit_report, plural, write_report};
use super::session::Session;
use crate::analysis::{ChangedCustomers, Diff, Differences};
use crate::campaign::{PolicyRules, Reason};
use crate::escape::{self, Escaped, display_name, json_line, shorten};
use crate::location::{LineIndex, Location};
use crate::output::CommitOrder;

pub(super) const LONG_ABOUT: &str = "\
Compare the decisions under two campaign files.

diff replays the inputs once and decides each conversion under the policy of each file. It reports the decisions that \
differ: by old and new reason, by promo, and the customers who get more or fewer codes. With --format jsonl it lists \
every decision that differs.

OLD or NEW can be `none`: the rule that sends a code at each click by a member, without a policy. --suppress, --ledger, \
--run-id and --ignore-case apply to both files, but not to `none`. The tables [loyalty] and [conversions] of the files \
must be equal, or be in one file only, because the inputs are read once. diff hands out no codes, and changes no ledger.

The exit code is 0 if no decision differs, 1 if decisions differ, and 2 if they could not be compared.";

const EXAMPLES: &str = "\
Examples:
  Show what a policy changes:
    adseg diff none spring.toml --loyalty loyalty.txt --conversions conversions.txt --suppress unsubscribed.txt

  Compare two policies with the ledger of earlier runs:
    adseg diff spring.toml summer.toml --loyalty loyalty.txt --conversions conversions.txt --ledger ledger.csv

  List the customers who lose a code:
    adseg diff spring.toml summer.toml --loyalty loyalty.txt --conversions conversions.txt --format jsonl |
      jq -r 'select(.kind == \"change\" and .old.send and (.new.send | not)) | .email'";

/// The maximum number of customers of each kind that are listed.
const LISTED_CUSTOMERS: usize = 10;

/// The maximum number of rows by promo in the text report.
const LISTED_PROMO_ROWS: usize = 20;

/// The maximum width of a promo in the text report, in characters.
const MAX_PROMO_CHARS: usize = 32;

/// The argument for the original rule.
const NONE: &str = "none";

#[derive(Debug, Args)]
#[command(after_help = DIFF_EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{DIFF_EXIT_CODES}"))]
#[command(override_usage = "adseg diff [OPTIONS] <OLD> <NEW> --loyalty <FILE>... --conversions <FILE>...")]
#[command(mut_arg("campaign", |campaign| campaign.hide(true)))]
pub struct DiffArgs {
    /// The old campaign file, or `none` for the rule without a policy; put both files before the options
    #[arg(value_name = "OLD")]
    old: PathBuf,

    /// The new campaign file, or `none`
    #[arg(value_name = "NEW")]
    new: PathBuf,

    #[command(flatten)]
    inputs: InputArgs,

    #[command(flatten)]
    report: ReportOutputArgs,

    #[command(flatten)]
    policy: PolicyArgs,

    #[command(flatten)]
    replay: ReplayArgs,

    /// The rules of the two files.
    #[arg(skip)]
    rules: [Option<PolicyRules>; 2],
}

impl DiffArgs {
    /// Adds the values of the campaign files.
    pub fn add_campaign_files(&mut self) -> anyhow::Result<()> {
        if self.inputs.campaign.is_some() {
            return usage_error("diff has no option --campaign; name two campaign files before the options");
        }
        self.rules = add_two_campaign_files([file(&self.old), file(&self.new)], &mut self.inputs)?;
        Ok(())
    }
}

/// The campaign file that an argument names, if it is not `none`.
fn file(argument: &Path) -> Option<&Path> {
    Some(argument).filter(|path| path.as_os_str() != OsStr::new(NONE))
}

pub fn diff(args: &DiffArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let mut inputs = Inputs::new(&args.inputs)?;
    for path in [file(&args.old), file(&args.new)].into_iter().flatten() {
        inputs.add_campaign(path)?;
    }
    inputs.add_suppressions(&args.policy.suppress)?;
    args.policy.ledger.iter().for_each(|ledger| inputs.add_other(ledger));
    let output = Output::open(&args.report.output, &inputs, session, CommitOrder::Output)?;
    let rules = args.rules.each_ref().map(|rules| rules.as_ref().map(|rules| args.policy.rules(rules)));
    let [old, new] = &args.policy.load_each(rules, false, &args.inputs, &mut inputs, &args.replay, session)?;
    let keeps_changes = args.report.format == ReportFormat::Jsonl;
    let computation = Diff { policies: [old, new], keeps_changes };
    let outcome = analyze(&computation, inputs, &args.inputs, &args.replay, &output, session)?;
    let report = DiffReport {
        names: [&args.old, &args.new].map(|path| escape::path(path)),
        differences: Differences::merge(outcome.states, LISTED_CUSTOMERS),
        decisions: outcome.counts.conversions(),
        line_index: &outcome.line_index,
    };
    write_report(&output, |out| match args.report.format {
        ReportFormat::Text => report.write_text(out),
        ReportFormat::Jsonl => report.write_jsonl(out),
    })?;
    let exit_code = if report.differences.changed() == 0 { 0 } else { FINDINGS };
    commit_report(exit_code, session, &args.replay, outcome.counts.rejects)
}

struct DiffReport<'a> {
    /// The names of the campaign files.
    names: [String; 2],
    differences: Differences,
    /// The number of decisions under each policy.
    decisions: u64,
    line_index: &'a LineIndex,
}

impl DiffReport<'_> {
    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let Differences { codes, reasons, promos, other_promos, gaining, losing, .. } = &self.differences;
        let (changed, decisions) = (self.differences.changed(), plural(self.decisions, "decision"));
        let [old_codes, new_codes] = codes.map(|codes| plural(codes, "code"));
        if changed == 0 {
            return writeln!(out, "no decision differs: {decisions}, {new_codes}");
        }
        let verb = if changed == 1 { "differs" } else { "differ" };
        writeln!(out, "{changed} of {decisions} {verb}")?;
        writeln!(out, "  {}: {old_codes}", self.names[0])?;
        writeln!(out, "  {}: {new_codes}", self.names[1])?;
        writeln!(out)?;
        let row = |&[old, new]: &[Reason; 2], count: &u64| [old.name().into(), new.name().into(), count.to_string()];
        let rows: Vec<[String; 3]> = reasons.iter().map(|(reasons, count)| row(reasons, count)).collect();
        write_table(["from", "to", "decisions"], &rows, out)?;
        writeln!(out)?;

        let mut by_count: Vec<_> = promos.iter().collect();
        by_count.sort_by_key(|(_, counts)| Reverse(counts.values().sum::<u64>()));
        let rows = by_count.into_iter().flat_map(|(promo, counts)| {
            let promo = shorten(display_name(promo), MAX_PROMO_CHARS);
            counts.iter().map(move |(reasons, count)| {
                let [old, new, count] = row(reasons, count);
                [promo.clone(), old, new, count]
            })
        });
        let listed: Vec<_> = rows.take(LISTED_PROMO_ROWS).collect();
        write_table(["promo", "from", "to", "decisions"], &listed, out)?;
        match promos.values().map(|counts| counts.len()).sum::<usize>() - listed.len() {
            0 => {}
            more => writeln!(out, "  and {more} more rows (--format jsonl lists all)")?,
        }
        if *other_promos > 0 {
            writeln!(out, "  promos that are too long or too many: {}", plural(*other_promos, "decision"))?;
        }
        writeln!(out)?;
        self.write_customers(gaining, "more", out)?;
        self.write_customers(losing, "fewer", out)
    }

    fn write_customers(
        &self,
        customers: &ChangedCustomers,
        more_or_fewer: &str,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let verb = if customers.count == 1 { "gets" } else { "get" };
        writeln!(out, "{} {verb} {more_or_fewer} codes", plural(customers.count, "customer"))?;
        let width = customers.first.values().map(|(email, _)| Escaped(email).to_string().chars().count()).max();
        for (&number, (email, codes)) in &customers.first {
            let (email, width) = (Escaped(email).to_string(), width.unwrap_or(0));
            writeln!(out, "  {email:width$}  {codes} {more_or_fewer}, first at {}", self.line_index.location(number))?;
        }
        match customers.count - customers.first.len() as u64 {
            0 => Ok(()),
            more => writeln!(out, "  and {more} more"),
        }
    }

    fn write_jsonl(&self, out: &mut impl Write) -> io::Result<()> {
        let Differences { codes, reasons, promos, other_promos, gaining, losing, changes } = &self.differences;
        for change in changes {
            let [old, new] = change.reasons.map(SideOfChange::new);
            let line = Line::Change {
                at: self.line_index.location(change.number),
                email: String::from_utf8_lossy(change.email()),
                promo: String::from_utf8_lossy(change.promo()),
                old,
                new,
            };
            json_line(&line, &mut *out)?;
        }
        for (&[old, new], &decisions) in reasons {
            json_line(&Line::Reasons { old: old.name(), new: new.name(), decisions }, &mut *out)?;
        }
        for (promo, counts) in promos {
            for (&[old, new], &decisions) in counts {
                let promo = String::from_utf8_lossy(promo);
                json_line(&Line::Promo { promo, old: old.name(), new: new.name(), decisions }, &mut *out)?;
            }
        }
        let [old, new] = *codes;
        let summary = Line::Summary {
            decisions: self.decisions,
            changed: self.differences.changed(),
            other_promos: *other_promos,
            codes: CodeCounts { old, new },
            customers: CustomerCounts { gain: gaining.count, lose: losing.count },
        };
        json_line(&summary, out)
    }
}

/// Writes a table with headings. The last column is aligned to the right.
fn write_table<const N: usize>(headings: [&str; N], rows: &[[String; N]], out: &mut impl Write) -> io::Result<()> {
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in rows {
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
    }
    let headings = headings.map(str::to_owned);
    for row in std::iter::once(&headings).chain(rows) {
        let (last, left) = row.split_last().expect("a table has columns");
        left.iter().zip(widths).try_for_each(|(cell, width)| write!(out, "{cell:width$}  "))?;
        writeln!(out, "{last:>width$}", width = widths[N - 1])?;
    }
    Ok(())
}

/// A line of the JSONL report.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    /// A decision that differs, in input order.
    Change {
        #[serde(flatten)]
        at: Location,
        email: Cow<'a, str>,
        promo: Cow<'a, str>,
        old: SideOfChange,
        new: SideOfChange,
    },
    /// The number of these decisions with the same reasons.
    Reasons { old: &'static str, new: &'static str, decisions: u64 },
    /// The same for one promo.
    Promo { promo: Cow<'a, str>, old: &'static str, new: &'static str, decisions: u64 },
    Summary {
        decisions: u64,
        changed: u64,
        /// The changed decisions that no line of the kind `promo` counts.
        other_promos: u64,
        codes: CodeCounts,
        customers: CustomerCounts,
    },
}

/// A decision that differs, under one policy.
#[derive(Serialize)]
struct SideOfChange {
    reason: &'static str,
    send: bool,
}

impl SideOfChange {
    fn new(reason: Reason) -> Self {
        Self { reason: reason.name(), send: reason == Reason::MemberClick }
    }
}

/// The number of codes under each policy.
#[derive(Serialize)]
struct CodeCounts {
    old: u64,
    new: u64,
}

/// The number of customers who get more and fewer codes under the new policy.
#[derive(Serialize)]
struct CustomerCounts {
    gain: u64,
    lose: u64,
}
