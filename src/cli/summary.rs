//! The summary of `adseg run`: the counts of records, decisions and members.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::analysis::DecideState;
use crate::campaign::{Codes, Policy, Reason, SuppressionList};
use crate::engine::{Counts, Outcome};
use crate::escape::{self, Escaped};

/// What the policy did.
#[derive(Serialize)]
struct PolicySummary {
    /// The number of decisions by reason.
    reasons: BTreeMap<&'static str, u64>,
    /// The number of different emails and digests on the suppression lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    suppression_entries: Option<usize>,
    /// The condition for the control group.
    #[serde(skip_serializing_if = "Option::is_none")]
    holdout: Option<String>,
    /// The number of unused codes that are left, by promo; the name is empty if the codes are for all promos.
    #[serde(skip_serializing_if = "Option::is_none")]
    codes_left: Option<BTreeMap<String, u64>>,
}

impl PolicySummary {
    fn new(outcome: &Outcome<DecideState<'_>>, policy: &Policy) -> Self {
        Self {
            reasons: Reason::ALL.map(|reason| (reason.name(), outcome.reasons.get(reason))).into(),
            suppression_entries: policy.suppression().map(SuppressionList::entries),
            holdout: policy.holdout().map(ToString::to_string),
            codes_left: outcome.codes.as_ref().map(codes_left),
        }
    }
}

impl fmt::Display for PolicySummary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "decisions by reason")?;
        for reason in Reason::ALL.map(Reason::name) {
            row(out, &format!("  {reason}"), self.reasons[reason])?;
        }
        if let Some(entries) = self.suppression_entries {
            row(out, "suppression entries", entries as u64)?;
        }
        if let Some(codes) = &self.codes_left {
            row(out, "codes left", codes.values().sum())?;
            for (promo, left) in codes.iter().filter(|(promo, _)| !promo.is_empty()) {
                row(out, &format!("  {}", Escaped(promo.as_bytes())), *left)?;
            }
        }
        self.holdout.as_ref().map_or(Ok(()), |holdout| writeln!(out, "holdout: {}", escape::text(holdout)))
    }
}

/// The number of unused codes by promo. The name is empty if the codes are for all promos.
pub fn codes_left(codes: &Codes) -> BTreeMap<String, u64> {
    let mut by_promo = BTreeMap::new();
    for (promo, left) in codes.left() {
        // Names that are not UTF-8 can become equal.
        *by_promo.entry(String::from_utf8_lossy(promo.unwrap_or_default()).into_owned()).or_default() += left;
    }
    by_promo
}

fn row(out: &mut fmt::Formatter<'_>, name: &str, count: u64) -> fmt::Result {
    writeln!(out, "{name:<22}{count:>12}")
}

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
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PolicySummary>,
    /// After decompression.
    bytes: u64,
    seconds: f64,
    records_per_second: f64,
    bytes_per_second: f64,
}

impl Summary {
    pub fn new(outcome: &Outcome<DecideState<'_>>, policy: &Policy, time: Duration) -> Self {
        let Outcome { states, counts, .. } = outcome;
        let policy = policy.has_gates().then(|| PolicySummary::new(outcome, policy));
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
            codes_to_send: match &policy {
                Some(policy) => policy.reasons[Reason::MemberClick.name()],
                None => states.iter().map(|state| state.sent).sum(),
            },
            newly_enrolled: states.iter().map(|state| state.enrolled).sum(),
            members: states.iter().map(|state| state.members() as u64).sum(),
            policy,
            bytes,
            seconds,
            records_per_second: records as f64 / seconds.max(f64::MIN_POSITIVE),
            bytes_per_second: bytes as f64 / seconds.max(f64::MIN_POSITIVE),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        self.policy.as_ref().map_or(Ok(()), |policy| write!(out, "{policy}"))?;
        let mb_per_second = self.bytes_per_second / 1e6;
        write!(out, "{:.3} s, {:.0} records/s, {mb_per_second:.1} MB/s", self.seconds, self.records_per_second)
    }
}
