//! Everything that one partition sees of a campaign, and what all of them saw together.

use std::collections::BTreeMap;

use super::course::{Course, Stretch};
use super::groups::{Deeds, Group, Stage};
use super::items::{Catalogue, ItemTally};
use super::money::Amount;
use super::names::{Label, MAX_NAMES, merged};
use super::profiles::{GenderTally, Profile, Profiles};
use super::reach::{ChannelTally, Clicks, MAX_PAIRS, PairBits, PromoTally, Reach};
use crate::campaign::{Event, EventKind, Step};
use crate::record::{Action, Conversion};

/// What is kept of one customer. There are millions of them: this is 16 bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Note {
    pairs: PairBits,
    /// What the latest loyalty row says, if there was one.
    profile: Option<Profile>,
    /// `None` until the first conversion.
    group: Option<Group>,
    stage: Stage,
    /// Whether the customer ever filled a basket, and whether they ever bought.
    basket: bool,
    purchase: bool,
}

/// What one partition counts.
#[derive(Debug, Default)]
pub struct Tallies {
    /// By the customers' numbers.
    notes: Vec<Note>,
    members: Deeds,
    others: Deeds,
    reach: Reach,
    items: Catalogue,
    profiles: Profiles,
    course: Course,
    /// The most digits that a total cost had behind its point.
    decimals: u8,
    /// Members, by a loyalty row or by a purchase.
    member_count: u64,
}

impl Tallies {
    /// Fetches what is kept of a customer, so that the cache misses of a whole group overlap.
    #[inline]
    pub fn warm(&self, customers: impl Iterator<Item = u32>) {
        let touched = customers
            .fold(0, |touched, customer| touched ^ self.notes.get(customer as usize).map_or(0, |note| note.pairs));
        std::hint::black_box(touched);
    }

    /// Counts an event. `step` is what the campaign made of it.
    pub fn see(&mut self, event: &Event<'_>, step: Step) {
        let at = step.customer as usize;
        if at >= self.notes.len() {
            self.notes.resize(at + 1, Note::default());
        }
        let becomes_member = step.decision.enrolled || event.kind == EventKind::Customer && !step.was_member;
        self.member_count += u64::from(becomes_member);
        match event.kind {
            EventKind::Customer => self.row(event, at),
            EventKind::Conversion(_) => {
                self.course.count(event.number, step.decision.enrolled);
                if let Some(conversion) = event.conversion_again() {
                    self.conversion(&conversion, step);
                }
            }
        }
    }

    fn row(&mut self, event: &Event<'_>, at: usize) {
        if let (Some(customer), Some(note)) = (event.customer(), self.notes.get_mut(at)) {
            note.profile = Some(self.profiles.take(&customer, note.profile));
        }
    }

    fn conversion(&mut self, conversion: &Conversion<'_>, step: Step) {
        let Some(note) = self.notes.get_mut(step.customer as usize) else { return };
        let newcomer = note.group.is_none();
        let group = *note.group.get_or_insert(if step.was_member { Group::Members } else { Group::Others });
        let deeds = match group {
            Group::Members => &mut self.members,
            Group::Others => &mut self.others,
        };
        deeds.customers += u64::from(newcomer);
        let reached = match conversion.action {
            Action::Click { channel } => {
                deeds.clicks += 1;
                deeds.codes += u64::from(step.decision.send);
                self.reach.click(conversion.promo, channel, step, &mut note.pairs);
                Stage::Clicked
            }
            Action::Basket { items } => {
                deeds.baskets += 1;
                deeds.basket_fillers += u64::from(!std::mem::replace(&mut note.basket, true));
                self.reach.basket(conversion.promo);
                self.items.basket(items);
                Stage::ThenBasket
            }
            Action::Purchase { items, total_cost } => {
                let amount = Amount::of(total_cost);
                deeds.purchases += 1;
                deeds.buyers += u64::from(!std::mem::replace(&mut note.purchase, true));
                deeds.new_members += u64::from(step.decision.enrolled);
                deeds.earn(amount);
                self.decimals = self.decimals.max(amount.map_or(0, Amount::decimals));
                self.reach.purchase(conversion.promo, amount, step.decision.enrolled);
                self.items.purchase(items, amount);
                Stage::ThenPurchase
            }
        };
        if note.stage.next() == Some(reached) {
            note.stage = reached;
            deeds.reach(reached);
        }
    }
}

/// What all partitions counted together.
#[derive(Debug, Default)]
pub struct Totals {
    /// What those did who were members at their first conversion.
    pub members: Deeds,
    /// What everybody else did.
    pub others: Deeds,
    /// By promo. `None`, as with all that is counted by name, when there were too many names to tell them apart.
    pub promos: Option<BTreeMap<Label, PromoTally>>,
    /// By channel.
    pub channels: Option<BTreeMap<Label, ChannelTally>>,
    /// By promo and channel.
    pub pairs: Option<BTreeMap<(Label, Label), Clicks>>,
    /// By item.
    pub items: Option<BTreeMap<Label, ItemTally>>,
    /// Members who have a loyalty row, by gender.
    pub genders: Option<BTreeMap<Label, GenderTally>>,
    /// Members who have a loyalty row.
    pub listed: u64,
    /// Members at the end.
    pub member_count: u64,
    /// The stretches of the log, in order.
    pub course: Vec<Stretch>,
    /// The most digits that a total cost had behind its point.
    pub decimals: u8,
}

impl Totals {
    /// What these partitions counted together. Their order does not matter.
    pub fn of(partitions: Vec<Tallies>) -> Self {
        let (mut totals, mut course) = (Self::default(), Course::default());
        let (mut promos, mut channels, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        let (mut items, mut genders) = (Vec::new(), Vec::new());
        for partition in partitions {
            totals.members += partition.members;
            totals.others += partition.others;
            totals.listed += partition.profiles.listed();
            totals.member_count += partition.member_count;
            totals.decimals = totals.decimals.max(partition.decimals);
            course.merge(partition.course);
            pairs.push(partition.reach.pairs_told());
            promos.push(partition.reach.promos.told());
            channels.push(partition.reach.channels.told());
            items.push(partition.items.told());
            genders.push(partition.profiles.told());
        }
        totals.promos = merged(promos.into_iter(), MAX_NAMES);
        totals.channels = merged(channels.into_iter(), MAX_NAMES);
        // Where promos or channels are not told apart, neither are their pairs.
        let apart = totals.promos.is_some() && totals.channels.is_some();
        totals.pairs = merged(pairs.into_iter(), MAX_PAIRS).filter(|_| apart);
        totals.items = merged(items.into_iter(), MAX_NAMES);
        totals.genders = merged(genders.into_iter(), MAX_NAMES);
        totals.course = course.stretches().to_vec();
        totals
    }

    /// What all customers did.
    pub fn everybody(&self) -> Deeds {
        let mut everybody = self.members;
        everybody += self.others;
        everybody
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_customer_is_small() {
        assert!(size_of::<Note>() <= 24, "{}", size_of::<Note>());
    }
}
