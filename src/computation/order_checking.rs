//! Finding the decisions that hang on the order in which files were named: the computation of `adseg order-check`.
//!
//! A click of somebody who is not on the loyalty list gets a code if a purchase came before. A purchase in the same file
//! comes before it or does not; one in another file does if that file is named before. Each partition applies the
//! campaign's rule as a run does, and beside it to each file alone: a click whose decision an earlier purchase would
//! change hangs on the order when another file has one.
//!
//! What is remembered of everybody who is not on the list and clicked or bought: for each file the first purchase, and
//! how many clicks came before it. The list has to be read before the conversions.

use super::deciding::GROUP;
use super::{Computation, EventBatch};
use crate::campaign::{Decision, EmailIndex, Event, EventKind, Keep, LoyaltyCustomers, decide};
use crate::partition::{EmailHash, EmailHasher};
use crate::record::ConversionKind;

/// Applies the campaign's rule and notes what another order of the files could change.
#[derive(Debug, Clone, Copy)]
pub struct OrderChecking {
    /// Remember where every such click stands, and not only the first one of a customer in a file.
    pub every_click: bool,
}

/// One partition's state.
#[derive(Debug)]
pub struct Strangers {
    customers: LoyaltyCustomers,
    /// Everybody who is not on the list and clicked or bought.
    emails: EmailIndex,
    /// By the numbers of the emails, which visit was the last one so far.
    last: Vec<u32>,
    visits: Vec<Visit>,
    /// The clicks that are not the first ones of their visits, if every click is to be remembered: which visit, and the
    /// number of the click.
    others: Vec<(u32, u64)>,
}

/// What somebody did in one file. Four thousand million of that in one partition are beyond any machine's memory.
#[derive(Debug)]
struct Visit {
    input: u32,
    /// The visit to an earlier file.
    earlier: Option<u32>,
    /// The number of the first purchase.
    bought: Option<u64>,
    /// How many clicks came before it, the number of the first, and whether they get a code in the order given.
    clicks: u64,
    first_click: u64,
    send: bool,
}

/// Clicks of one customer in one file, on which the same was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clicks {
    /// How many.
    pub count: u64,
    /// The number of the first one's line or frame, counted over the whole run.
    pub first: u64,
    /// The numbers of the others, if every click is to be remembered.
    pub others: Vec<u64>,
    /// Whether they get a code in the order given.
    pub send: bool,
}

/// Clicks that hang on the order of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hanging {
    /// Whose they are.
    pub email: Box<[u8]>,
    /// The index of the input that they are in.
    pub input: usize,
    /// Which.
    pub clicks: Clicks,
    /// For each other file with a purchase of the email: the index of the input, and the first purchase's number.
    pub purchases: Vec<(usize, u64)>,
}

impl Computation for OrderChecking {
    type State = Strangers;
    type Answer = ();

    fn new_state(&self, hasher: &EmailHasher) -> Strangers {
        Strangers {
            customers: LoyaltyCustomers::new(hasher.clone(), Keep::Emails),
            emails: EmailIndex::new(hasher.clone()),
            last: Vec::new(),
            visits: Vec::new(),
            others: Vec::new(),
        }
    }

    fn concerns(&self, kind: EventKind) -> bool {
        LoyaltyCustomers::is_concerned(kind)
    }

    fn apply(&self, state: &mut Strangers, events: EventBatch<'_>, _answers: &mut Vec<(u32, ())>) {
        let input = events.input() as u32;
        for group in events.groups(GROUP) {
            state.customers.warm(group.hashes());
            state.emails.warm(group.hashes());
            for (_, hash, event) in group.events() {
                let decision = state.customers.apply(hash, &event);
                if let EventKind::Conversion(kind) = event.kind
                    && let Some(stranger) = state.stranger(hash, &event, kind, decision)
                {
                    let visit = state.visit(stranger, input);
                    state.note(visit, kind, event.number, decision.send, self.every_click);
                }
            }
        }
    }
}

impl Strangers {
    /// The number of the one whose event this is. `None` for who is on the list: they are members in any order.
    fn stranger(
        &mut self,
        hash: EmailHash,
        event: &Event<'_>,
        kind: ConversionKind,
        decision: Decision,
    ) -> Option<u32> {
        // Nobody becomes a member but by a row or by a purchase, which would be known.
        if decision == decide(true, kind) {
            self.emails.find(hash, event.email)
        } else {
            Some(self.emails.insert(hash, event.email).0)
        }
    }

    /// What they do in this file, which is the last one so far.
    fn visit(&mut self, stranger: u32, input: u32) -> u32 {
        let last = self.last.get(stranger as usize).copied();
        let is_here = |place: &u32| self.visits.get(*place as usize).is_some_and(|visit| visit.input == input);
        if let Some(here) = last.filter(is_here) {
            return here;
        }
        let here = self.visits.len() as u32;
        self.visits.push(Visit { input, earlier: last, bought: None, clicks: 0, first_click: 0, send: false });
        match self.last.get_mut(stranger as usize) {
            Some(last) => *last = here,
            // They are numbered in the order in which they come.
            None => self.last.push(here),
        }
        here
    }

    fn note(&mut self, visit: u32, kind: ConversionKind, number: u64, send: bool, every_click: bool) {
        if let Some(here) = self.visits.get_mut(visit as usize)
            && here.note(kind, number, send)
            && here.first_click != number
            && every_click
        {
            self.others.push((visit, number));
        }
    }

    /// What hangs on the order.
    fn hanging(&self) -> Vec<Hanging> {
        let visit = |place: u32| self.visits.get(place as usize).map(|visit| (place, visit));
        let mut hanging = Vec::new();
        for (email, &last) in self.emails.emails().zip(&self.last) {
            let visits = std::iter::successors(visit(last), |(_, later)| visit(later.earlier?));
            for (place, here) in visits.clone().filter(|(_, visit)| visit.clicks > 0) {
                let others = visits.clone().filter(|(other, _)| *other != place);
                let mut purchases: Vec<_> =
                    others.filter_map(|(_, other)| Some((other.input as usize, other.bought?))).collect();
                if !purchases.is_empty() {
                    purchases.reverse();
                    let clicks = here.clicks(self.others_of(place));
                    hanging.push(Hanging { email: email.into(), input: here.input as usize, clicks, purchases });
                }
            }
        }
        hanging
    }

    /// The clicks of a visit but the first, once they are sorted.
    fn others_of(&self, visit: u32) -> impl Iterator<Item = u64> {
        let start = self.others.partition_point(|(other, _)| *other < visit);
        let from_there = self.others.iter().skip(start);
        from_there.take_while(move |(other, _)| *other == visit).map(|(_, number)| *number)
    }
}

impl Visit {
    /// Notes a conversion in it. Says whether it is a click whose decision an earlier purchase would change.
    fn note(&mut self, kind: ConversionKind, number: u64, send: bool) -> bool {
        let alone = decide(self.bought.is_some(), kind);
        if alone.enrolled {
            self.bought = Some(number);
        }
        let hangs = alone.send != decide(true, kind).send;
        if hangs {
            if self.clicks == 0 {
                (self.first_click, self.send) = (number, send);
            }
            self.clicks += 1;
        }
        hangs
    }

    fn clicks(&self, others: impl Iterator<Item = u64>) -> Clicks {
        Clicks { count: self.clicks, first: self.first_click, others: others.collect(), send: self.send }
    }
}

impl Hanging {
    /// Everything that hangs on the order, in the order of the first clicks.
    pub fn find(partitions: Vec<Strangers>) -> Vec<Self> {
        let of_partition = |mut partition: Strangers| {
            partition.others.sort_unstable();
            partition.hanging()
        };
        let mut hanging: Vec<_> = partitions.into_iter().flat_map(of_partition).collect();
        hanging.sort_unstable_by_key(|hanging| hanging.clicks.first);
        hanging
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConversionKind::{Click, Purchase};

    #[test]
    fn a_click_behind_a_purchase_in_its_own_file_hangs_on_nothing() {
        let mut here = Visit { input: 0, earlier: None, bought: None, clicks: 0, first_click: 0, send: false };
        let hang = [(3, Click), (4, Click), (5, Purchase), (6, Click), (7, Purchase)]
            .map(|(number, kind)| here.note(kind, number, false));
        assert_eq!(hang, [true, true, false, false, false]);
        assert_eq!((here.clicks, here.first_click, here.bought), (2, 3, Some(5)));
    }
}
