//! The computation of `adseg report`: counts the conversions of a campaign, in each partition.
//!
//! Counting takes one pass. It needs about 60 bytes for each customer, and one entry for each of a limited number of
//! names. Totals do not depend on the number or the order of the partitions.

use std::collections::HashMap;
use std::hint::black_box;
use std::mem::replace;
use std::num::NonZeroU32;

use foldhash::fast::RandomState;

use super::counts::{Activity, ClickCounts, DistinctCounter, FunnelStage, GenderCounts, Group, ItemCounts};
use super::lift::LiftCounts;
use super::money::Amount;
use super::names::{MAX_NAMES, NameId, NameTable, RowNames};
use super::periods::Periods;
use super::reasons::{ReasonCounts, Reasons};
use super::timeline::{Bucket, Timeline};
use crate::campaign::{CustomerNumber, CustomerTable, EmailHasher, Event, Ledger, Policy, PolicyState, Step, Tracked};
use crate::engine::{Computation, Decided, EventBatch, MAX_PARTITIONS_WITH_NAMES, PREFETCH};
use crate::record::{Action, Conversion, LoyaltyRow, RecordKind, Time};

/// Applies the rule and the policy of the campaign, and counts events and decisions.
#[derive(Debug, Clone, Copy)]
pub struct CountCampaign<'a> {
    /// The policy.
    pub policy: &'a Policy,
}

/// The state of one partition.
#[derive(Debug)]
pub struct CountState<'a> {
    table: CustomerTable,
    policy: PolicyState<'a>,
    pub(super) counts: CampaignCounts,
    pub(super) lift: LiftCounts,
    /// The customers of one chunk. The buffer is reused.
    customers: Vec<CustomerNumber>,
}

impl<'a> Computation for CountCampaign<'a> {
    type State = CountState<'a>;

    const MAX_PARTITIONS: NonZeroU32 = MAX_PARTITIONS_WITH_NAMES;

    fn new_state(&self, hasher: &EmailHasher) -> CountState<'a> {
        let policy = PolicyState::new(self.policy);
        let reasons = policy.has_gates().then(Reasons::default);
        CountState {
            table: CustomerTable::with_case(hasher.clone(), Tracked::AllCustomers, self.policy.ignores_case()),
            policy,
            counts: CampaignCounts { reasons, ..CampaignCounts::default() },
            lift: LiftCounts::default(),
            customers: Vec::new(),
        }
    }

    fn hasher(&self) -> EmailHasher {
        self.policy.event_hasher()
    }

    fn apply(&self, state: &mut CountState<'a>, events: EventBatch<'_>, _decided: &mut Decided) {
        let CountState { table, policy, counts, lift, customers } = state;
        let (has_gates, groups) = (policy.has_gates(), self.policy.ledger().and_then(Ledger::groups));
        for chunk in events.chunks(PREFETCH) {
            // Each pass over the chunk prefetches the data of the next pass.
            chunk.prefetch();
            table.prefetch(chunk.hashes());
            customers.clear();
            customers.extend(chunk.events().map(|(_, hash, event)| table.add(hash, event.email)));
            table.prefetch_memberships(customers.iter().copied());
            counts.prefetch(customers.iter().copied());
            for ((_, hash, event), &customer) in chunk.events().zip(&*customers) {
                let mut step = table.apply_to(customer, event.kind);
                if has_gates {
                    policy.apply(table, hash, &event, &mut step);
                }
                counts.count(&event, customer, step);
                if let Some(groups) = groups {
                    lift.count(groups, &event);
                }
            }
        }
    }
}

/// The state of one customer. It is small, because there are millions of them.
#[derive(Debug, Clone, Copy, Default)]
struct CustomerStats {
    /// The latest loyalty row, if there is one.
    profile: Option<Profile>,
    /// `None` until the first conversion.
    group: Option<Group>,
    stage: FunnelStage,
    has_basket: bool,
    bought: Bought,
}

/// Whether a customer bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Bought {
    #[default]
    No,
    /// Only before the first click.
    BeforeClick,
    AfterClick,
}

/// The fields of a loyalty row that are counted.
#[derive(Debug, Clone, Copy)]
struct Profile {
    gender: NameId,
    has_facebook: bool,
    has_instagram: bool,
}

/// The pairs of promo and channel in one partition.
#[derive(Debug, Default)]
struct PairTable {
    /// At most [`MAX_NAMES`].
    pairs: HashMap<(NameId, NameId), ClickCounts, RandomState>,
    /// There were more pairs. Then the table is empty.
    has_too_many: bool,
}

impl PairTable {
    /// The counts of the pair of these names. `None` if there are too many pairs.
    #[inline]
    fn get_mut(&mut self, promo: NameId, channel: NameId) -> Option<&mut ClickCounts> {
        let is_full = self.pairs.len() == MAX_NAMES;
        if self.has_too_many || is_full && !self.pairs.contains_key(&(promo, channel)) {
            *self = Self { has_too_many: true, ..Self::default() };
            return None;
        }
        Some(self.pairs.entry((promo, channel)).or_default())
    }
}

/// The counts of one partition.
#[derive(Debug, Default)]
pub struct CampaignCounts {
    customers: Vec<CustomerStats>,
    /// By [`Group`].
    pub groups: [Activity; 2],
    pub promos: NameTable<ClickCounts>,
    pub channels: NameTable<ClickCounts>,
    pairs: PairTable,
    distinct: DistinctCounter,
    pub items: NameTable<ItemCounts>,
    pub genders: NameTable<GenderCounts>,
    /// `None` without a policy.
    pub reasons: Option<Reasons>,
    pub timeline: Timeline,
    pub periods: Periods,
    /// The maximum number of digits of a total cost after the decimal point.
    pub decimals: u8,
    /// Customers with a loyalty row.
    pub with_row: u64,
    pub members: u64,
}

impl CampaignCounts {
    /// Prefetches the state of these customers, so their cache misses overlap.
    #[inline]
    fn prefetch(&self, customers: impl Iterator<Item = CustomerNumber>) {
        let prefetch = |customer: CustomerNumber| {
            let stats = self.customers.get(customer as usize).map_or(0, |stats| stats.stage as u64);
            stats ^ self.distinct.prefetch(customer)
        };
        black_box(customers.fold(0, |read, customer| read ^ prefetch(customer)));
    }

    /// Counts an event of the customer with this number. `step` is its effect. Events of a partition must be in input
    /// order.
    fn count(&mut self, event: &Event<'_>, customer: CustomerNumber, step: Step) {
        let index = customer as usize;
        if index >= self.customers.len() {
            self.customers.resize(index + 1, CustomerStats::default());
        }
        self.members += u64::from(step.joins);
        if let Some(row) = event.loyalty_row() {
            self.count_row(&row, index);
        }
        if event.kind != RecordKind::EarlierPurchase
            && let Some(conversion) = event.conversion()
        {
            let one = Bucket::of(conversion.action, step.decision);
            self.timeline.count(event.number, one);
            if let Some(time) = conversion.time.and_then(Time::parse) {
                self.periods.count(time, one);
            }
            self.count_conversion(&conversion, event.number, customer, step);
        }
    }

    /// A later row of a customer replaces the earlier one.
    fn count_row(&mut self, row: &LoyaltyRow<'_>, index: usize) {
        let profile = Profile {
            gender: self.genders.id(row.gender),
            has_facebook: !row.fb_user.is_empty(),
            has_instagram: !row.insta_user.is_empty(),
        };
        let earlier = self.customers[index].profile.replace(profile);
        self.with_row += u64::from(earlier.is_none());
        if let Some(members) = earlier.and_then(|earlier| self.members_like(earlier)) {
            *members -= 1;
        }
        if let Some(members) = self.members_like(profile) {
            *members += 1;
        }
    }

    /// The number of members with the same gender and networks. `None` if there are too many genders.
    fn members_like(&mut self, profile: Profile) -> Option<&mut u64> {
        let gender = self.genders.get_mut(profile.gender)?;
        Some(gender.of(profile.has_facebook, profile.has_instagram))
    }

    fn count_conversion(&mut self, conversion: &Conversion<'_>, number: u64, customer: CustomerNumber, step: Step) {
        let promo = self.promos.id(conversion.promo);
        if let Some(reasons) = &mut self.reasons {
            reasons.count(promo, step.decision.reason(conversion.kind()));
        }
        let stats = &mut self.customers[customer as usize];
        let is_new_customer = stats.group.is_none();
        let group = *stats.group.get_or_insert(if step.was_member { Group::Members } else { Group::NonMembers });
        let activity = &mut self.groups[group as usize];
        activity.customers += u64::from(is_new_customer);
        match conversion.action {
            Action::Click { channel } => {
                activity.count_click(step.decision.send, stats.stage.advance_to(FunnelStage::Clicked));
                self.count_click(promo, channel, customer, step.decision.send);
            }
            Action::Basket { items } => {
                activity.baskets += 1;
                activity.with_basket += u64::from(!replace(&mut stats.has_basket, true));
                activity.then_basket += u64::from(stats.stage.advance_to(FunnelStage::ThenBasket));
                if let Some(promo) = self.promos.get_mut(promo) {
                    promo.activity.baskets += 1;
                }
                for item in items.iter() {
                    let item = self.items.id(item);
                    if let Some(item) = self.items.get_mut(item) {
                        item.count_in_basket(number);
                    }
                }
            }
            Action::Purchase { items, total_cost } => {
                let amount = total_cost.and_then(Amount::of);
                let bought = if stats.stage == FunnelStage::NoClick { Bought::BeforeClick } else { Bought::AfterClick };
                activity.with_purchase += u64::from(stats.bought == Bought::No);
                activity.bought_after_click += u64::from(stats.bought != bought && bought == Bought::AfterClick);
                stats.bought = bought;
                activity.then_purchase += u64::from(stats.stage.advance_to(FunnelStage::ThenPurchase));
                activity.count_purchase(amount, step.decision.enrolled);
                if let Some(promo) = self.promos.get_mut(promo) {
                    promo.activity.count_purchase(amount, step.decision.enrolled);
                }
                self.decimals = self.decimals.max(amount.map_or(0, Amount::decimals));
                for item in items.iter() {
                    let item = self.items.id(item);
                    if let Some(item) = self.items.get_mut(item) {
                        item.count_in_purchase(number, amount);
                    }
                }
            }
        }
    }

    fn count_click(&mut self, promo: NameId, channel: &[u8], customer: CustomerNumber, gets_code: bool) {
        let channel = self.channels.id(channel);
        let distinct = &mut self.distinct;
        // A customer who was counted for the pair was also counted for the promo and the channel.
        let pair = self.pairs.get_mut(promo, channel);
        let is_new = pair.is_none_or(|pair| pair.count(customer, gets_code, distinct));
        for counts in [self.promos.get_mut(promo), self.channels.get_mut(channel)].into_iter().flatten() {
            if is_new {
                counts.count(customer, gets_code, distinct);
            } else {
                counts.count_again(gets_code);
            }
        }
    }

    /// The decisions of each promo by reason. `None` if there are too many promos, or no policy.
    pub fn promo_reasons(&self) -> Option<Vec<(RowNames, ReasonCounts)>> {
        let of_promos = &self.reasons.as_ref()?.of_promos;
        Some(self.promos.counts()?.into_iter().zip(of_promos).map(|((name, _), reasons)| (name, *reasons)).collect())
    }

    /// The counts of each pair. `None` if there are too many pairs, promos or channels.
    pub fn pairs(&self) -> Option<Vec<(RowNames, Activity)>> {
        let (promos, channels) = (self.promos.counts()?, self.channels.counts()?);
        let pair = |(&(promo, channel), pair): (&(NameId, NameId), &ClickCounts)| {
            ([promos[promo as usize].0.as_slice(), &channels[channel as usize].0].concat(), pair.activity)
        };
        (!self.pairs.has_too_many).then(|| self.pairs.pairs.iter().map(pair).collect())
    }
}

/// The names and their activities, by id. `None` if there are too many.
pub fn activities(names: &NameTable<ClickCounts>) -> Option<Vec<(RowNames, Activity)>> {
    let activity = |(name, counts): (RowNames, ClickCounts)| (name, counts.activity);
    names.counts().map(|counts| counts.into_iter().map(activity).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::report::names::Name;

    #[test]
    fn customer_stats_are_small() {
        assert!(size_of::<CustomerStats>() <= 12, "{}", size_of::<CustomerStats>());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn customers_are_counted_once_per_promo_channel_and_pair(
            clicks in prop::collection::vec((0_u32..20, 0_usize..12, 0_usize..12), 0..600),
        ) {
            let mut counts = CampaignCounts::default();
            for &(customer, promo, channel) in &clicks {
                let promo = counts.promos.id(promo.to_string().as_bytes());
                counts.count_click(promo, channel.to_string().as_bytes(), customer, false);
            }
            let is = |number: usize, name: &Name| *name == Name::of(number.to_string().as_bytes());
            let distinct = |is_wanted: &dyn Fn(usize, usize) -> bool| {
                let wanted = clicks.iter().filter(|&&(_, promo, channel)| is_wanted(promo, channel));
                wanted.map(|&(customer, ..)| customer).collect::<HashSet<_>>().len() as u64
            };
            for (names, pair) in counts.pairs().unwrap() {
                prop_assert_eq!(pair.clicked, distinct(&|one, other| is(one, &names[0]) && is(other, &names[1])));
            }
            for (name, promo) in counts.promos.counts().unwrap() {
                prop_assert_eq!(promo.activity.clicked, distinct(&|promo, _| is(promo, &name[0])));
            }
            for (name, channel) in counts.channels.counts().unwrap() {
                prop_assert_eq!(channel.activity.clicked, distinct(&|_, channel| is(channel, &name[0])));
            }
        }
    }
}
