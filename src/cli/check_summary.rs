//! The summary of `adseg check`: the counts of records, promos, channels and unused codes, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::summary::codes_left;
use crate::analysis::{Findings, Names, Occurrences};
use crate::campaign::Codes;
use crate::engine::Counts;
use crate::escape;

/// The maximum number of promos, channels and promos with codes in the table.
const LISTED_NAMES: usize = 20;

/// The maximum width of a name in the table, in characters.
const NAME_WIDTH: usize = 28;

/// The counts. Every record is counted in exactly one of `loyalty_rows`, the three types, `bad_records`, `blanks` and
/// `ignored`.
#[derive(Serialize)]
pub struct CheckSummary {
    records: u64,
    loyalty_rows: u64,
    duplicate_loyalty_rows: u64,
    clicks: u64,
    baskets: u64,
    purchases: u64,
    blanks: u64,
    /// Conversions that `--type`, `--since` or `--until` ignores.
    ignored: u64,
    bad_records: u64,
    damaged_inputs: u64,
    /// The number of conversions whose time is before that of the conversion before.
    steps_back: u64,
    /// The number of records and channels with a warning.
    warnings: u64,
    /// The number of distinct promos that are counted separately.
    distinct_promos: u64,
    promos: Vec<NameCount>,
    distinct_channels: u64,
    channels: Vec<NameCount>,
    /// The number of unused codes by promo; the name is empty if the codes are for all promos.
    #[serde(skip_serializing_if = "Option::is_none")]
    codes_left: Option<BTreeMap<String, u64>>,
}

/// The counts of what the report lists.
pub struct FoundCounts {
    pub damaged_inputs: u64,
    pub steps_back: u64,
    pub warnings: u64,
}

/// A promo or a channel, and its number of records.
#[derive(Serialize)]
struct NameCount {
    name: String,
    count: u64,
}

impl CheckSummary {
    /// The summary of a check.
    pub fn new(counts: &Counts, findings: &Findings, codes: Option<&Codes>, found: FoundCounts) -> Self {
        let FoundCounts { damaged_inputs, steps_back, warnings } = found;
        Self {
            records: counts.records,
            loyalty_rows: counts.loyalty_rows,
            duplicate_loyalty_rows: findings.duplicates,
            clicks: counts.clicks,
            baskets: counts.baskets,
            purchases: counts.purchases,
            blanks: counts.blanks,
            ignored: counts.ignored,
            bad_records: counts.rejects,
            damaged_inputs,
            steps_back,
            warnings,
            distinct_promos: findings.promos.by_name.len() as u64,
            promos: by_count(&findings.promos),
            distinct_channels: findings.channels.by_name.len() as u64,
            channels: by_count(&findings.channels),
            codes_left: codes.map(codes_left),
        }
    }
}

/// The names, the most frequent first.
fn by_count(names: &Names) -> Vec<NameCount> {
    let count = |(name, seen): (&Vec<u8>, &Occurrences)| NameCount {
        name: String::from_utf8_lossy(name).into_owned(),
        count: seen.count,
    };
    let mut counts: Vec<_> = names.by_name.iter().map(count).collect();
    counts.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.name.cmp(&other.name)));
    if names.others > 0 {
        counts.push(NameCount { name: "(too many or too long)".to_owned(), count: names.others });
    }
    counts
}

impl fmt::Display for CheckSummary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, count: u64| writeln!(out, "{name:<32}{count:>12}");
        row("records in", self.records)?;
        row("  loyalty rows", self.loyalty_rows)?;
        row("    duplicate rows", self.duplicate_loyalty_rows)?;
        row("  clicks", self.clicks)?;
        row("  baskets", self.baskets)?;
        row("  purchases", self.purchases)?;
        row("  blank lines", self.blanks)?;
        row("  ignored", self.ignored)?;
        row("  bad records", self.bad_records)?;
        row("damaged inputs", self.damaged_inputs)?;
        row("times that go back", self.steps_back)?;
        row("warnings", self.warnings)?;
        let promos = ("promos", self.distinct_promos, &self.promos);
        let channels = ("channels", self.distinct_channels, &self.channels);
        for (kind, distinct, names) in [promos, channels] {
            row(kind, distinct)?;
            for NameCount { name, count } in names.iter().take(LISTED_NAMES) {
                let name = escape::shorten(escape::display_name(name.as_bytes()), NAME_WIDTH);
                row(&format!("  {name}"), *count)?;
            }
        }
        if let Some(codes) = &self.codes_left {
            row("codes left", codes.values().sum())?;
            for (promo, left) in codes.iter().filter(|(promo, _)| !promo.is_empty()).take(LISTED_NAMES) {
                let promo = escape::shorten(escape::display_name(promo.as_bytes()), NAME_WIDTH);
                row(&format!("  {promo}"), *left)?;
            }
        }
        Ok(())
    }
}
