//! The summary of `adseg run`: the counts of records, decisions and members.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::analysis::DecideState;
use crate::engine::{Counts, Outcome};

/// The summary of a run. Every record is counted in exactly one of `decisions`,
/// `loyalty_rows`, `rejects`, `blanks` and `ignored`.
#[derive(Serialize)]
pub struct Summary {
    records: u64,
    decisions: u64,
    loyalty_rows: u64,
    pub rejects: u64,
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
    pub fn new(outcome: &Outcome<DecideState>, time: Duration) -> Self {
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
