//! The closing summary of a run, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::campaign::LoyaltyCustomers;
use crate::engine::{Counts, Outcome};

/// What was read, decided and enrolled. Every record that came in is in exactly one of `decisions`, `loyalty_rows`,
/// `rejects` and `blanks`.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Lines and frames that came in.
    pub records: u64,
    /// Conversions that were answered.
    pub decisions: u64,
    /// Rows of the loyalty list that were loaded.
    pub loyalty_rows: u64,
    /// Bad records that were put aside.
    pub rejects: u64,
    /// Blank lines.
    pub blanks: u64,
    /// Decisions on clicks.
    pub clicks: u64,
    /// Decisions on baskets.
    pub baskets: u64,
    /// Decisions on purchases.
    pub purchases: u64,
    /// Decisions to send a code.
    pub codes_to_send: u64,
    /// Customers who became members by a purchase.
    pub newly_enrolled: u64,
    /// Members at the end.
    pub members: u64,
    /// Bytes that came in.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Records a second.
    pub records_per_second: f64,
    /// Bytes a second.
    pub bytes_per_second: f64,
}

impl Summary {
    /// Sums up a run that took `time`.
    pub fn of(outcome: &Outcome<LoyaltyCustomers>, time: Duration) -> Self {
        let Outcome { states, counts, .. } = outcome;
        let Counts { bytes, records, blanks, rejects, customers, clicks, baskets, purchases } = *counts;
        let seconds = time.as_secs_f64();
        Self {
            records,
            decisions: counts.conversions(),
            loyalty_rows: customers,
            rejects,
            blanks,
            clicks,
            baskets,
            purchases,
            codes_to_send: states.iter().map(LoyaltyCustomers::sent).sum(),
            newly_enrolled: states.iter().map(LoyaltyCustomers::enrolled).sum(),
            members: states.iter().map(|state| state.members() as u64).sum(),
            bytes,
            seconds,
            records_per_second: records as f64 / seconds.max(f64::MIN_POSITIVE),
            bytes_per_second: bytes as f64 / seconds.max(f64::MIN_POSITIVE),
        }
    }

    /// The summary as one line of JSON.
    ///
    /// # Errors
    /// When it cannot be serialized.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
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
        row(out, "codes to send", self.codes_to_send)?;
        row(out, "newly enrolled", self.newly_enrolled)?;
        row(out, "members at the end", self.members)?;
        write!(
            out,
            "{:.3} s, {:.0} records/s, {:.1} MB/s",
            self.seconds,
            self.records_per_second,
            self.bytes_per_second / 1e6
        )
    }
}
