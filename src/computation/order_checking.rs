//! Finding the decisions that hang on the order in which files were named: the computation of `adseg order-check`.
//!
//! A click of somebody who is not on the loyalty list gets a code if a purchase came before. A purchase in the same file
//! comes before it or does not; one in another file does if that file is named before. Each partition applies the
//! campaign's rule as a run does, and beside it to each file alone: a click whose decision an earlier purchase would
//! change hangs on the order when another file has one.
//!
//! What is remembered of everybody who is not on the list and clicked or bought: for each file the first purchase, and
//! how many clicks came before it. The list has to be read before the conversions.

use std::collections::HashMap;

use super::{Computation, EventBatch};
use crate::campaign::{Decision, EventKind, Keep, LoyaltyCustomers, decide};
use crate::partition::EmailHasher;
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
    /// By email, what they did in each file, in the order of the files.
    files: HashMap<Box<[u8]>, Vec<InFile>>,
}

/// What somebody did in one file.
#[derive(Debug)]
struct InFile {
    input: u32,
    /// The number of the first purchase.
    bought: Option<u64>,
    /// The clicks before it.
    clicks: Option<Clicks>,
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
        Strangers { customers: LoyaltyCustomers::new(hasher.clone(), Keep::Emails), files: HashMap::new() }
    }

    fn concerns(&self, kind: EventKind) -> bool {
        LoyaltyCustomers::is_concerned(kind)
    }

    fn apply(&self, state: &mut Strangers, events: EventBatch<'_>, _answers: &mut Vec<(u32, ())>) {
        let input = events.input() as u32;
        for (_, hash, event) in events.events() {
            let decision = state.customers.apply(hash, &event);
            if let EventKind::Conversion(kind) = event.kind
                && let Some(files) = state.files_of(event.email, kind, decision)
                && let Some(here) = in_file(files, input)
            {
                here.note(kind, event.number, decision.send, self.every_click);
            }
        }
    }
}

impl Strangers {
    /// What somebody did so far. `None` for who is on the list: they are members in any order.
    fn files_of(&mut self, email: &[u8], kind: ConversionKind, decision: Decision) -> Option<&mut Vec<InFile>> {
        // Nobody becomes a member but by a row or by a purchase, which would be known.
        if decision != decide(true, kind) && !self.files.contains_key(email) {
            self.files.insert(email.into(), Vec::new());
        }
        self.files.get_mut(email)
    }
}

/// What they did in this file, which is the last one so far.
fn in_file(files: &mut Vec<InFile>, input: u32) -> Option<&mut InFile> {
    if files.last().is_none_or(|last| last.input != input) {
        // Few will have another one.
        files.reserve_exact(1);
        files.push(InFile { input, bought: None, clicks: None });
    }
    files.last_mut()
}

impl InFile {
    fn note(&mut self, kind: ConversionKind, number: u64, send: bool, every_click: bool) {
        let alone = decide(self.bought.is_some(), kind);
        if alone.enrolled {
            self.bought = Some(number);
        }
        if alone.send != decide(true, kind).send {
            match &mut self.clicks {
                Some(clicks) => {
                    clicks.count += 1;
                    clicks.others.extend(every_click.then_some(number));
                }
                None => self.clicks = Some(Clicks { count: 1, first: number, others: Vec::new(), send }),
            }
        }
    }
}

impl Hanging {
    /// Everything that hangs on the order, in the order of the first clicks.
    pub fn find(partitions: Vec<Strangers>) -> Vec<Self> {
        let everybody = partitions.into_iter().flat_map(|partition| partition.files);
        let mut hanging: Vec<_> = everybody.flat_map(|(email, files)| Self::of(&email, &files)).collect();
        hanging.sort_by_key(|hanging| hanging.clicks.first);
        hanging
    }

    fn of(email: &[u8], files: &[InFile]) -> Vec<Self> {
        let hanging = files.iter().filter_map(|here| {
            let others = files.iter().filter(|file| file.input != here.input);
            let purchases: Vec<_> = others.filter_map(|file| Some((file.input as usize, file.bought?))).collect();
            let clicks = here.clicks.clone().filter(|_| !purchases.is_empty())?;
            Some(Self { email: email.into(), input: here.input as usize, clicks, purchases })
        });
        hanging.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConversionKind::{Click, Purchase};

    #[test]
    fn a_click_behind_a_purchase_in_its_own_file_hangs_on_nothing() {
        let mut here = InFile { input: 0, bought: None, clicks: None };
        for (number, kind) in [(3, Click), (4, Click), (5, Purchase), (6, Click), (7, Purchase)] {
            here.note(kind, number, false, true);
        }
        assert_eq!(here.clicks, Some(Clicks { count: 2, first: 3, others: vec![4], send: false }));
        assert_eq!(here.bought, Some(5));
    }
}
