//! The lift: the purchases of the customers whom earlier runs sent a code, compared with those of the customers whom
//! they held out.
//!
//! The interval of the difference is Newcombe's hybrid score interval, which is valid for small groups and rare
//! purchases, too.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::money::{Amount, Sum};
use super::summary::grouped;
use super::table::Value;
use crate::campaign::{CustomerNumber, Event, Holdout, LedgerGroup, LedgerGroups, Policy};
use crate::record::{Action, ConversionKind, RecordKind};

/// The purchases of a group of customers of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiftGroup {
    /// All customers of the group, with or without a record.
    pub customers: u64,
    pub buyers: u64,
    pub purchases: u64,
    /// Purchases whose total cost has too many digits to be summed.
    pub not_in_revenue: u64,
    /// The sum of the other purchases.
    pub revenue: Sum,
}

add_fields!(LiftGroup { customers, buyers, purchases, not_in_revenue, revenue });

/// The purchases of both groups in one partition.
#[derive(Debug, Default)]
pub struct LiftCounts {
    sent: LiftGroup,
    held_out: LiftGroup,
    buyers: HashSet<CustomerNumber, RandomState>,
}

impl LiftCounts {
    /// Counts a purchase by a customer of a group. All spellings of an email must be in one partition.
    pub fn count(&mut self, groups: &LedgerGroups, event: &Event<'_>) {
        if event.kind != RecordKind::Conversion(ConversionKind::Purchase) {
            return;
        }
        let Some((customer, group)) = groups.find(event.email) else { return };
        let group = match group {
            LedgerGroup::Sent => &mut self.sent,
            LedgerGroup::HeldOut => &mut self.held_out,
        };
        group.purchases += 1;
        group.buyers += u64::from(self.buyers.insert(customer));
        let amount = event.conversion().and_then(|conversion| match conversion.action {
            Action::Purchase { total_cost, .. } => total_cost.and_then(Amount::of),
            Action::Click { .. } | Action::Basket { .. } => None,
        });
        match amount {
            Some(amount) => group.revenue += amount,
            None => group.not_in_revenue += 1,
        }
    }
}

/// The comparison of the groups.
#[derive(Debug, Clone)]
pub struct Lift {
    pub sent: LiftGroup,
    pub held_out: LiftGroup,
    /// The control group that the campaign has now.
    holdout: Option<Holdout>,
    /// The runs that do not count, because they are later ones.
    pub later_runs: Option<String>,
}

/// The normal quantile of a 95 % interval.
const Z: f64 = 1.959_963_984_540_054;

/// The value that chi-square with one degree of freedom exceeds with a probability of 0.001.
const MAX_CHI_SQUARE: f64 = 10.827_566_170_662_733;

/// Chi-square needs at least this many expected customers in each group.
const MIN_EXPECTED: f64 = 5.0;

/// A share of fewer customers is not shown in a sentence.
const MIN_FOR_SHARE: u64 = 5;

impl Lift {
    /// The purchases of all partitions. `None` if the ledger keeps no groups, and if neither it nor the campaign holds
    /// out customers.
    pub fn new<'a>(policy: &Policy, partitions: impl Iterator<Item = &'a LiftCounts>) -> Option<Self> {
        let groups = policy.ledger()?.groups()?;
        let group = |group| LiftGroup { customers: groups.size(group), ..LiftGroup::default() };
        let (mut sent, mut held_out) = (group(LedgerGroup::Sent), group(LedgerGroup::HeldOut));
        for partition in partitions {
            sent += partition.sent;
            held_out += partition.held_out;
        }
        let is_wanted = held_out.customers > 0 || sent.customers > 0 && policy.holdout().is_some();
        is_wanted.then(|| Self {
            sent,
            held_out,
            holdout: policy.holdout().cloned(),
            later_runs: groups.later_runs().display(),
        })
    }

    /// The difference of the conversion rates in hundredths of a percentage point. `None` if a group is empty.
    pub fn difference(&self) -> Option<i64> {
        let [buyers, customers, of_buyers, of_customers] =
            [self.sent.buyers, self.sent.customers, self.held_out.buyers, self.held_out.customers].map(i128::from);
        let (difference, whole) = (buyers * of_customers - of_buyers * customers, customers * of_customers);
        let rounded = (2 * 10_000 * difference.abs() + whole).checked_div(2 * whole)? * difference.signum();
        Some(i64::try_from(rounded).expect("a difference of shares is between -10,000 and 10,000"))
    }

    /// The ends of the 95 % interval of this difference.
    pub fn interval(&self) -> Option<[i64; 2]> {
        self.empty_group().is_none().then(|| {
            let [sent, held_out] = [self.sent, self.held_out].map(|group| [group.buyers, group.customers]);
            newcombe(sent, held_out).map(|share| (share * 10_000.0).round() as i64)
        })
    }

    /// Whether the sizes of the groups contradict the percentage of the campaign. `None` if that cannot be tested.
    pub fn contradicts_percentage(&self) -> Option<bool> {
        let share = self.holdout.as_ref().filter(|_| self.empty_group().is_none())?.share();
        let held_out = self.held_out.customers;
        chi_square(held_out, self.sent.customers + held_out, share).map(|value| value > MAX_CHI_SQUARE)
    }

    /// The conclusion of the comparison.
    pub fn result(&self) -> LiftResult {
        if self.empty_group().is_some() || self.contradicts_percentage() == Some(true) {
            return LiftResult::NotComparable;
        }
        let [sent, held_out] = [self.sent, self.held_out].map(|group| [group.buyers, group.customers]);
        match newcombe(sent, held_out) {
            [from, _] if from > 0.0 => LiftResult::MoreBuyers,
            [_, to] if to < 0.0 => LiftResult::FewerBuyers,
            _ => LiftResult::TooFew,
        }
    }

    /// What no customer of the ledger was, if one of the groups is empty.
    const fn empty_group(&self) -> Option<&'static str> {
        match (self.sent.customers, self.held_out.customers) {
            (_, 0) => Some("held out"),
            (0, _) => Some("sent a code"),
            _ => None,
        }
    }

    /// The comparison in a sentence.
    pub fn sentence(&self) -> String {
        if let Some(warning) = self.warning() {
            return format!("The effect of the codes cannot be measured: {warning}");
        }
        if let Some(group) = self.empty_group() {
            return format!(
                "No customer was {group} by an earlier run, so the effect of the codes cannot be measured."
            );
        }
        let difference = self.difference().expect("no group is empty").abs();
        let [from, to] = self.interval().expect("no group is empty");
        let [difference, from, to] = [difference, from, to].map(|points| Value::Points(points).plain());
        let [sent, held_out] = [self.sent, self.held_out]
            .map(|group| Value::Share { part: group.buyers, whole: group.customers }.display());
        let verb = match self.result() {
            LiftResult::MoreBuyers => "raised",
            LiftResult::FewerBuyers => "lowered",
            LiftResult::TooFew | LiftResult::NotComparable => {
                let [sent, held_out] = [(self.sent, sent), (self.held_out, held_out)].map(|(group, share)| {
                    let part = format!("{} of {}", grouped(group.buyers), grouped(group.customers));
                    if group.customers < MIN_FOR_SHARE { part } else { format!("{share} ({part})") }
                });
                return format!(
                    "There are too few customers to tell whether sending codes makes a difference. Of the \
                     customers who were sent a code, {sent} bought, and of those held out {held_out}: the difference is \
                     between {from} and {to} percentage points (95% interval). Keep the control group, and compare again after \
                     more runs."
                );
            }
        };
        format!(
            "Sending codes {verb} the conversion rate from {held_out} of the customers held out to {sent} of those who \
             were sent a code, by {difference} percentage points (95% interval of the difference from {from} to {to})."
        )
    }

    /// The warning that the sizes of the groups contradict the percentage, if they do.
    pub fn warning(&self) -> Option<String> {
        let holdout = self.holdout.as_ref().filter(|_| self.contradicts_percentage() == Some(true))?;
        let (held_out, all) = (self.held_out.customers, self.held_out.customers + self.sent.customers);
        Some(format!(
            "{held_out} of {all} customers were held out, which contradicts the {}% of the campaign, so the groups are not \
             comparable; did the percentage or the key change, or did the codes run out?",
            holdout.percent()
        ))
    }
}

/// The conclusion of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiftResult {
    MoreBuyers,
    FewerBuyers,
    /// The interval contains zero.
    TooFew,
    /// A group is empty, or the sizes of the groups contradict the percentage.
    NotComparable,
}

impl LiftResult {
    pub const fn name(self) -> &'static str {
        match self {
            Self::MoreBuyers => "more buyers",
            Self::FewerBuyers => "fewer buyers",
            Self::TooFew => "too few to tell",
            Self::NotComparable => "not comparable",
        }
    }
}

/// Newcombe's hybrid score interval for the difference of two shares, each of `[part, whole]`.
fn newcombe(one: [u64; 2], other: [u64; 2]) -> [f64; 2] {
    let share = |[part, whole]: [u64; 2]| part as f64 / whole as f64;
    let (difference, [one_from, one_to], [other_from, other_to]) =
        (share(one) - share(other), wilson(one), wilson(other));
    [
        difference - (share(one) - one_from).hypot(other_to - share(other)),
        difference + (one_to - share(one)).hypot(share(other) - other_from),
    ]
}

/// Wilson's score interval for a share.
fn wilson([part, whole]: [u64; 2]) -> [f64; 2] {
    let (share, whole) = (part as f64 / whole as f64, whole as f64);
    let center = share + Z * Z / (2.0 * whole);
    let half = Z * (share * (1.0 - share) / whole + Z * Z / (4.0 * whole * whole)).sqrt();
    [center - half, center + half].map(|end| end / (1.0 + Z * Z / whole))
}

/// The chi-square statistic of `part` customers of `whole`, of whom `share` are expected. `None` if too few are expected.
fn chi_square(part: u64, whole: u64, share: f64) -> Option<f64> {
    let [expected, others] = [share, 1.0 - share].map(|share| share * whole as f64);
    let difference = part as f64 - expected;
    (expected.min(others) >= MIN_EXPECTED).then(|| difference * difference * (1.0 / expected + 1.0 / others))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-9, "{actual}, expected {expected}");
    }

    // from statsmodels.stats.proportion import confint_proportions_2indep
    // confint_proportions_2indep(549, 9000, 52, 1000, method="newcomb", compare="diff", alpha=0.05)
    #[test]
    fn intervals_are_those_of_statsmodels() {
        for (one, other, expected) in [
            ([549, 9000], [52, 1000], [-0.007267635012651926, 0.02216907115457153]),
            ([56, 70], [48, 80], [0.05243147240236498, 0.33387265403690614]),
            ([0, 10], [0, 5], [-0.43448246478317487, 0.27753279986288926]),
            ([10, 10], [0, 5], [0.48444256653230444, 1.0]),
            ([2, 2], [1, 1], [-0.657619772493347, 0.7934506856227626]),
            ([900, 90000], [50, 10000], [0.003294346255772378, 0.006379450577681449]),
        ] {
            let [from, to] = newcombe(one, other);
            assert_near(from, expected[0]);
            assert_near(to, expected[1]);
        }
    }

    // from statsmodels.stats.proportion import proportions_chisquare
    // proportions_chisquare(132, 1000, 0.1)
    #[test]
    fn group_sizes_are_tested_as_in_statsmodels() {
        for (part, whole, share, expected, contradicts) in [
            (132, 1000, 0.1, 11.377777777777778, true),
            (131, 1000, 0.1, 10.677777777777777, false),
            (69, 1000, 0.1, 10.677777777777777, false),
            (68, 1000, 0.1, 11.377777777777778, true),
            (3, 50, 0.1, 0.888888888888889, false),
            (5400, 100000, 0.05, 33.68421052631579, true),
        ] {
            let value = chi_square(part, whole, share).unwrap();
            assert_near(value, expected);
            assert_eq!(value > MAX_CHI_SQUARE, contradicts, "{part} of {whole}");
        }
        assert_eq!(chi_square(3, 49, 0.1), None);
    }

    fn lift(sent: [u64; 2], held_out: [u64; 2]) -> Lift {
        let group = |[buyers, customers]: [u64; 2]| LiftGroup { buyers, customers, ..LiftGroup::default() };
        Lift {
            sent: group(sent),
            held_out: group(held_out),
            holdout: Some(Holdout::new("10", "k").unwrap()),
            later_runs: None,
        }
    }

    #[test]
    fn only_a_difference_beyond_chance_is_reported() {
        for (lift, result, difference, sentence) in [
            (
                lift([720, 9000], [52, 1000]),
                LiftResult::MoreBuyers,
                Some(280),
                "Sending codes raised the conversion rate from 5.2% of the customers held out to 8.0% of those who were sent \
                 a code, by 2.80 percentage points (95% interval of the difference from 1.15 to 4.14).",
            ),
            (
                lift([270, 9000], [52, 1000]),
                LiftResult::FewerBuyers,
                Some(-220),
                "Sending codes lowered the conversion rate from 5.2% of the customers held out to 3.0% of those who were sent \
                 a code, by 2.20 percentage points (95% interval of the difference from -3.79 to -0.93).",
            ),
            (
                lift([549, 9000], [52, 1000]),
                LiftResult::TooFew,
                Some(90),
                "There are too few customers to tell whether sending codes makes a difference. Of the customers who \
                 were sent a code, 6.1% (549 of 9,000) bought, and of those held out 5.2% (52 of 1,000): the difference is \
                 between -0.73 and 2.22 percentage points (95% interval). Keep the control group, and compare again after more runs.",
            ),
            (
                lift([720, 9000], [104, 2000]),
                LiftResult::NotComparable,
                Some(280),
                "The effect of the codes cannot be measured: 2000 of 11000 customers were held out, which contradicts the \
                 10% of the campaign, so the groups are not comparable; did the percentage or the key change, or did the \
                 codes run out?",
            ),
            (
                lift([0, 0], [1, 2]),
                LiftResult::NotComparable,
                None,
                "No customer was sent a code by an earlier run, so the effect of the codes cannot be measured.",
            ),
            (
                lift([1, 200], [0, 0]),
                LiftResult::NotComparable,
                None,
                "No customer was held out by an earlier run, so the effect of the codes cannot be measured.",
            ),
        ] {
            assert_eq!((lift.result(), lift.difference()), (result, difference));
            assert_eq!(lift.warning().is_some(), result == LiftResult::NotComparable && difference.is_some());
            assert_eq!(lift.sentence(), sentence);
        }
    }
}
