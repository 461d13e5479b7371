//! Counts the events of a campaign, in each partition and in total.
//!
//! Counting takes one pass. It needs about 40 bytes for each customer, and one entry for each of a limited number of
//! names. Totals do not depend on the number or the order of the partitions.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::mem::replace;

use foldhash::fast::RandomState;

use super::counts::{
    ClickCounts, DistinctCounter, FunnelStage, GenderCounts, Group, GroupActivity, ItemCounts, Key, PromoCounts,
};
use super::money::Amount;
use super::names::{MAX_NAMES, Name, NameId, NameTable, merge};
use super::timeline::{Bucket, Timeline};
use crate::campaign::{CustomerNumber, Event, Step};
use crate::record::{Action, Conversion, ConversionKind, LoyaltyRow, RecordKind};

/// The state of one customer. It is small, because there are millions of them.
#[derive(Debug, Clone, Copy, Default)]
struct CustomerStats {
    /// The latest loyalty row, if there is one.
    profile: Option<Profile>,
    /// `None` until the first conversion.
    group: Option<Group>,
    stage: FunnelStage,
    has_basket: bool,
    has_purchase: bool,
}

/// The fields of a loyalty row that are counted.
#[derive(Debug, Clone, Copy)]
struct Profile {
    gender: NameId,
    has_facebook: bool,
    has_instagram: bool,
}

/// The clicks of a pair of promo and channel.
#[derive(Debug)]
struct Pair {
    number: u32,
    clicks: ClickCounts,
}

/// The counts of one partition.
#[derive(Debug, Default)]
pub struct CampaignCounts {
    customers: Vec<CustomerStats>,
    /// By [`Group`].
    groups: [GroupActivity; 2],
    promos: NameTable<PromoCounts>,
    channels: NameTable<ClickCounts>,
    pairs: HashMap<(NameId, NameId), Pair, RandomState>,
    too_many_pairs: bool,
    distinct: DistinctCounter,
    items: NameTable<ItemCounts>,
    genders: NameTable<GenderCounts>,
    timeline: Timeline,
    /// The maximum number of digits of a total cost after the decimal point.
    decimals: u8,
    /// Customers with a loyalty row.
    with_row: u64,
    members: u64,
}

impl CampaignCounts {
    /// Prefetches the state of these customers, so their cache misses overlap.
    #[inline]
    pub fn prefetch(&self, customers: impl Iterator<Item = CustomerNumber>) {
        let touch = |customer: CustomerNumber| {
            let stats = self.customers.get(customer as usize).map_or(0, |stats| stats.stage as u64);
            stats ^ self.distinct.touch(customer)
        };
        black_box(customers.fold(0, |touched, customer| touched ^ touch(customer)));
    }

    /// Counts an event of the customer with this number. `step` is its effect. Events of a partition must be in input
    /// order.
    pub fn count(&mut self, event: &Event<'_>, customer: CustomerNumber, step: Step) {
        let index = customer as usize;
        if index >= self.customers.len() {
            self.customers.resize(index + 1, CustomerStats::default());
        }
        self.members += u64::from(step.joins);
        match event.kind {
            RecordKind::LoyaltyRow => {
                self.count_row(&event.loyalty_row().expect("a loyalty event decodes as a loyalty row"), index);
            }
            RecordKind::Conversion(_) => {
                self.timeline.count(event.number, step.decision.enrolled);
                let conversion = event.conversion().expect("a conversion event decodes as a conversion");
                self.count_conversion(&conversion, event.number, customer, step);
            }
        }
    }

    /// A later row of a customer replaces the earlier one.
    fn count_row(&mut self, row: &LoyaltyRow<'_>, index: usize) {
        let profile = Profile {
            gender: self.genders.id(row.gender),
            has_facebook: !row.fb_user.is_empty(),
            has_instagram: !row.insta_user.is_empty(),
        };
        match self.customers[index].profile.replace(profile) {
            Some(earlier) => *self.genders[earlier.gender].of(earlier.has_facebook, earlier.has_instagram) -= 1,
            None => self.with_row += 1,
        }
        *self.genders[profile.gender].of(profile.has_facebook, profile.has_instagram) += 1;
    }

    fn count_conversion(&mut self, conversion: &Conversion<'_>, number: u64, customer: CustomerNumber, step: Step) {
        let promo = self.promos.id(conversion.promo);
        let stats = &mut self.customers[customer as usize];
        let is_new_customer = stats.group.is_none();
        let group = *stats.group.get_or_insert(if step.was_member { Group::Members } else { Group::NonMembers });
        let activity = &mut self.groups[group as usize];
        activity.customers += u64::from(is_new_customer);
        match (stats.stage, conversion.kind()) {
            (FunnelStage::NoClick, ConversionKind::Click) => {
                stats.stage = FunnelStage::Clicked;
                activity.clicked += 1;
            }
            (FunnelStage::Clicked, ConversionKind::Basket) => {
                stats.stage = FunnelStage::ThenBasket;
                activity.then_basket += 1;
            }
            (FunnelStage::ThenBasket, ConversionKind::Purchase) => {
                stats.stage = FunnelStage::ThenPurchase;
                activity.then_purchase += 1;
            }
            _ => {}
        }
        match conversion.action {
            Action::Click { channel } => {
                activity.clicks += 1;
                activity.codes += u64::from(step.decision.send);
                self.count_click(promo, channel, customer, step.decision.send);
            }
            Action::Basket { items } => {
                activity.baskets += 1;
                activity.with_basket += u64::from(!replace(&mut stats.has_basket, true));
                self.promos[promo].baskets += 1;
                for item in items.iter() {
                    let item = self.items.id(item);
                    self.items[item].count_in_basket(number);
                }
            }
            Action::Purchase { items, total_cost } => {
                let amount = Amount::of(total_cost);
                let new_members = u64::from(step.decision.enrolled);
                let promo = &mut self.promos[promo];
                activity.purchases += 1;
                activity.with_purchase += u64::from(!replace(&mut stats.has_purchase, true));
                activity.new_members += new_members;
                promo.purchases += 1;
                promo.new_members += new_members;
                match amount {
                    Some(amount) => {
                        activity.revenue += amount;
                        promo.revenue += amount;
                        self.decimals = self.decimals.max(amount.decimals());
                    }
                    None => activity.not_in_revenue += 1,
                }
                for item in items.iter() {
                    let item = self.items.id(item);
                    self.items[item].count_in_purchase(number, amount);
                }
            }
        }
    }

    fn count_click(&mut self, promo: NameId, channel: &[u8], customer: CustomerNumber, gets_code: bool) {
        let channel = self.channels.id(channel);
        let number = self.pairs.len();
        let pair = match self.pairs.entry((promo, channel)) {
            Entry::Occupied(pair) => Some(pair.into_mut()),
            Entry::Vacant(vacant) if number < MAX_NAMES => {
                Some(vacant.insert(Pair { number: number as u32, clicks: ClickCounts::default() }))
            }
            Entry::Vacant(_) => None,
        };
        // A customer who was counted for the pair was also counted for the promo and the channel.
        let is_new = match pair {
            Some(pair) => {
                let is_new = self.distinct.insert(customer, Key::Pair(pair.number));
                pair.clicks.count(gets_code, is_new);
                is_new
            }
            None => {
                self.too_many_pairs = true;
                true
            }
        };
        let is_new_to_promo = is_new && self.distinct.insert(customer, Key::Promo(promo));
        let is_new_to_channel = is_new && self.distinct.insert(customer, Key::Channel(channel));
        self.promos[promo].clicks.count(gets_code, is_new_to_promo);
        self.channels[channel].count(gets_code, is_new_to_channel);
    }

    /// The clicks of each pair. `None` if there are too many pairs, promos or channels.
    fn pairs(&self) -> Option<Vec<((Name, Name), ClickCounts)>> {
        let (promos, channels) = (self.promos.names()?, self.channels.names()?);
        let name = |names: &[Name], id: NameId| names[id as usize].clone();
        let pair = |(&(promo, channel), pair): (&(NameId, NameId), &Pair)| {
            ((name(&promos, promo), name(&channels, channel)), pair.clicks)
        };
        (!self.too_many_pairs).then(|| self.pairs.iter().map(pair).collect())
    }
}

/// Counts by name. `None` if there are more than [`MAX_NAMES`] names.
pub type ByName<T, K = Name> = Option<BTreeMap<K, T>>;

/// The counts of all partitions.
#[derive(Debug, Default)]
pub struct Totals {
    /// Customers who were members at their first conversion.
    pub(super) members: GroupActivity,
    /// Customers who were non-members at their first conversion.
    pub(super) non_members: GroupActivity,
    pub(super) promos: ByName<PromoCounts>,
    pub(super) channels: ByName<ClickCounts>,
    pub(super) pairs: ByName<ClickCounts, (Name, Name)>,
    pub(super) items: ByName<ItemCounts>,
    /// Members with a loyalty row, by gender.
    pub(super) genders: ByName<GenderCounts>,
    pub(super) with_row: u64,
    /// Members at the end.
    pub(super) member_count: u64,
    /// The timeline of the log.
    pub(super) timeline: Vec<Bucket>,
    /// The maximum number of digits of a total cost after the decimal point.
    pub(super) decimals: u8,
}

impl Totals {
    /// Adds the counts of the partitions.
    pub fn merge(partitions: Vec<CampaignCounts>) -> Self {
        let (mut totals, mut timeline) = (Self::default(), Timeline::default());
        let (mut promos, mut channels, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        let (mut items, mut genders) = (Vec::new(), Vec::new());
        for partition in partitions {
            totals.members += partition.groups[Group::Members as usize];
            totals.non_members += partition.groups[Group::NonMembers as usize];
            totals.with_row += partition.with_row;
            totals.member_count += partition.members;
            totals.decimals = totals.decimals.max(partition.decimals);
            pairs.push(partition.pairs());
            promos.push(partition.promos.finish());
            channels.push(partition.channels.finish());
            items.push(partition.items.finish());
            genders.push(partition.genders.finish());
            timeline.merge(partition.timeline);
        }
        totals.promos = merge(promos);
        totals.channels = merge(channels);
        let has_names = totals.promos.is_some() && totals.channels.is_some();
        totals.pairs = merge(pairs).filter(|_| has_names);
        totals.items = merge(items);
        totals.genders = merge(genders);
        totals.timeline = timeline.into_buckets();
        totals
    }

    /// The activity of all customers.
    pub fn all(&self) -> GroupActivity {
        let mut all = self.members;
        all += self.non_members;
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn customer_stats_are_small() {
        assert!(size_of::<CustomerStats>() <= 16, "{}", size_of::<CustomerStats>());
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
            let is = |number: usize, name: &Name| *name == Name::Bytes(number.to_string().into_bytes().into());
            let distinct = |is_wanted: &dyn Fn(usize, usize) -> bool| {
                let wanted = clicks.iter().filter(|&&(_, promo, channel)| is_wanted(promo, channel));
                wanted.map(|&(customer, ..)| customer).collect::<HashSet<_>>().len() as u64
            };
            for ((promo, channel), pair) in counts.pairs().unwrap() {
                prop_assert_eq!(pair.customers, distinct(&|one, other| is(one, &promo) && is(other, &channel)));
            }
            for (name, promo) in counts.promos.finish().unwrap() {
                prop_assert_eq!(promo.clicks.customers, distinct(&|promo, _| is(promo, &name)));
            }
            for (name, channel) in counts.channels.finish().unwrap() {
                prop_assert_eq!(channel.customers, distinct(&|_, channel| is(channel, &name)));
            }
        }
    }
}
