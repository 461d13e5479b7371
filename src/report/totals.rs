//! The counts of a report over all partitions.

use std::collections::BTreeMap;

use super::counting::{CampaignCounts, CountState, activities};
use super::counts::{Activity, GenderCounts, ItemCounts};
use super::lift::Lift;
use super::names::{Name, RowNames, merge};
use super::periods::Periods;
use super::reasons::ReasonCounts;
use super::timeline::Timeline;
use crate::campaign::Policy;
use crate::escape;

/// Counts by name. `None` if there are more than [`super::names::MAX_NAMES`] names.
pub type ByName<T> = Option<BTreeMap<RowNames, T>>;

/// The counts of all partitions.
#[derive(Debug, Default)]
pub struct Totals {
    /// By [`super::counts::Group`].
    pub(super) groups: [Activity; 2],
    pub(super) promos: ByName<Activity>,
    pub(super) channels: ByName<Activity>,
    pub(super) pairs: ByName<Activity>,
    pub(super) items: ByName<ItemCounts>,
    /// Members with a loyalty row, by gender.
    pub(super) genders: ByName<GenderCounts>,
    /// `None` without a policy.
    pub(super) reasons: Option<ReasonCounts>,
    pub(super) promo_reasons: ByName<ReasonCounts>,
    /// `None` if no customer was held out by earlier runs.
    pub(super) lift: Option<Lift>,
    pub(super) with_row: u64,
    /// Members at the end.
    pub(super) member_count: u64,
    pub(super) timeline: Timeline,
    /// The timeline by time; empty if the conversions have no times.
    pub(super) periods: Periods,
    /// The maximum number of digits of a total cost after the decimal point.
    pub(super) decimals: u8,
}

/// The members at the end.
#[derive(Debug, Clone, Copy)]
pub struct Membership {
    pub members: u64,
    pub with_row: u64,
    pub new_members: u64,
}

impl Totals {
    /// The activity of all customers.
    pub(super) fn all(&self) -> Activity {
        let [mut all, non_members] = self.groups;
        all += non_members;
        all
    }

    pub(super) fn membership(&self) -> Membership {
        Membership { members: self.member_count, with_row: self.with_row, new_members: self.all().new_members }
    }

    /// The warning that the groups of the lift are not comparable, if they are not.
    pub fn warning(&self) -> Option<String> {
        self.lift.as_ref()?.warning()
    }

    /// The promos of the campaign file that occur in no conversion. `None` if there are none, or if there are too many
    /// promos to tell.
    pub fn absent_promos(&self, policy: &Policy) -> Option<String> {
        let found = self.promos.as_ref()?;
        let is_absent = |promo: &&String| !found.contains_key(&[Name::of(promo.as_bytes())][..]);
        let absent: Vec<_> = policy.promos()?.iter().filter(is_absent).map(|promo| escape::text(promo)).collect();
        (!absent.is_empty() && self.all().customers > 0).then(|| absent.join(", "))
    }

    /// Adds the counts of the partitions.
    pub fn merge(partitions: Vec<CountState<'_>>, policy: &Policy) -> Self {
        let counts = || partitions.iter().map(|partition| &partition.counts);
        let mut totals = Self {
            promos: merge(counts().map(|counts| activities(&counts.promos))),
            channels: merge(counts().map(|counts| activities(&counts.channels))),
            items: merge(counts().map(|counts| counts.items.counts())),
            genders: merge(counts().map(|counts| counts.genders.counts())),
            reasons: policy.has_gates().then(ReasonCounts::default),
            promo_reasons: merge(counts().map(CampaignCounts::promo_reasons)),
            lift: Lift::new(policy, partitions.iter().map(|partition| &partition.lift)),
            ..Self::default()
        };
        if totals.promos.is_some() && totals.channels.is_some() {
            totals.pairs = merge(counts().map(CampaignCounts::pairs));
        }
        for CountState { counts, .. } in partitions {
            totals.groups.iter_mut().zip(counts.groups).for_each(|(total, group)| *total += group);
            if let (Some(total), Some(reasons)) = (&mut totals.reasons, counts.reasons) {
                *total += reasons.all;
            }
            totals.with_row += counts.with_row;
            totals.member_count += counts.members;
            totals.decimals = totals.decimals.max(counts.decimals);
            totals.timeline.merge(counts.timeline);
            totals.periods.merge(counts.periods);
        }
        totals
    }
}
