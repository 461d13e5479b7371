//! The computation of `adseg order-check`: the clicks whose decision depends on the order of the files.
//!
//! A click by a customer who is not on the loyalty list gets a code if a purchase precedes it. The order of the files
//! cannot change that for a purchase in the same file, but it can for a purchase in another file. Each partition
//! applies the rule of the campaign to all files as a run does, and also to each file separately. If an earlier
//! purchase would change the decision for a click, the click depends on the order if another file has a purchase. The
//! loyalty list must be read before the conversions.
//!
//! The state of a customer who is not on the list: for each file, the first purchase and the clicks before it.

use crate::campaign::{CustomerNumber, CustomerTable, EmailHasher, Membership, Tracked, transition};
use crate::engine::{Computation, Decided, EventBatch, PREFETCH};
use crate::record::{ConversionKind, RecordKind};

/// Applies the rule of the campaign, and records the clicks that a different order of the files could change.
#[derive(Debug, Clone, Copy)]
pub struct OrderCheck {
    /// Record every such click, not only the first one of a customer in a file.
    pub every_click: bool,
}

/// The state of one partition.
#[derive(Debug)]
pub struct OrderState {
    customers: CustomerTable,
    /// By customer number: the activity in the latest file.
    last: Vec<Option<ActivityNumber>>,
    activities: Vec<FileActivity>,
    /// The clicks after the first one of each activity, if every click is recorded.
    more_clicks: Vec<(ActivityNumber, u64)>,
}

type ActivityNumber = u32;

/// The activity of a customer in one file.
#[derive(Debug, Default)]
struct FileActivity {
    input: u32,
    /// The activity in an earlier file.
    earlier: Option<ActivityNumber>,
    /// The number of the first purchase.
    bought: Option<u64>,
    /// The clicks before it: their count, the number of the first, and whether they get a code in the order given.
    clicks: u64,
    first_click: u64,
    send: bool,
}

/// Clicks of one customer in one file that depend on the order of the files. All have the same decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependentClicks {
    /// The customer.
    pub email: Box<[u8]>,
    /// The index of their input.
    pub input: usize,
    /// The number of clicks.
    pub count: u64,
    /// The number of the line or frame of the first click, counted over all inputs.
    pub first: u64,
    /// The numbers of the other clicks, if every click is recorded.
    pub others: Vec<u64>,
    /// Whether they get a code in the order given.
    pub send: bool,
    /// The first purchase of the customer, in the order given, in another file: the index of the input and the number.
    /// It causes the code, or would cause it if its file came first.
    pub bought: (usize, u64),
    /// The number of other files in which the customer bought.
    pub bought_in_files: u64,
}

/// The purchases of one customer.
#[derive(Debug, Default)]
struct Purchases {
    /// The number of files with a purchase.
    files: u64,
    /// The first purchase, and the first purchase in the next file that has one: the input and the number.
    first: [Option<(u32, u64)>; 2],
}

impl Computation for OrderCheck {
    type State = OrderState;

    fn new_state(&self, hasher: &EmailHasher) -> OrderState {
        let customers = CustomerTable::new(hasher.clone(), Tracked::AllCustomers);
        OrderState { customers, last: Vec::new(), activities: Vec::new(), more_clicks: Vec::new() }
    }

    fn needs_fields(&self) -> bool {
        false
    }

    fn needs_kind(&self, kind: RecordKind) -> bool {
        kind != RecordKind::Conversion(ConversionKind::Basket)
    }

    fn apply(&self, state: &mut OrderState, events: EventBatch<'_>, _decided: &mut Decided) {
        let input = events.input() as u32;
        for chunk in events.chunks(PREFETCH) {
            state.customers.prefetch(chunk.hashes());
            for (_, hash, event) in chunk.events() {
                let customer = state.customers.add(hash, event.email);
                let step = state.customers.apply_to(customer, event.kind);
                // A listed customer is a member in any order of the files.
                if event.kind != RecordKind::LoyaltyRow && state.customers.membership(customer) != Membership::Listed {
                    let activity = state.activity(customer, input);
                    state.record(activity, event.kind, event.number, step.decision.send, self.every_click);
                }
            }
        }
    }
}

impl OrderState {
    /// The activity of the customer in this file, which is the latest.
    fn activity(&mut self, customer: CustomerNumber, input: u32) -> ActivityNumber {
        let customer = customer as usize;
        if customer >= self.last.len() {
            self.last.resize(customer + 1, None);
        }
        let last = self.last[customer];
        if let Some(here) = last.filter(|&last| self.activities[last as usize].input == input) {
            return here;
        }
        let here =
            ActivityNumber::try_from(self.activities.len()).expect("2^32 activities need over 200 GB in one partition");
        self.activities.push(FileActivity { input, earlier: last, ..FileActivity::default() });
        self.last[customer] = Some(here);
        here
    }

    fn record(&mut self, activity: ActivityNumber, kind: RecordKind, number: u64, send: bool, every_click: bool) {
        let here = &mut self.activities[activity as usize];
        let alone = transition(here.bought.is_some(), kind).decision;
        if alone.enrolled {
            here.bought = Some(number);
        }
        let is_changed_by_earlier_purchase = alone.send != transition(true, kind).decision.send;
        if is_changed_by_earlier_purchase {
            if here.clicks == 0 {
                (here.first_click, here.send) = (number, send);
            } else if every_click {
                self.more_clicks.push((activity, number));
            }
            here.clicks += 1;
        }
    }

    fn dependent_clicks(mut self) -> Vec<DependentClicks> {
        self.more_clicks.sort_unstable();
        let mut dependent = Vec::new();
        for (email, last) in self.customers.emails().zip(&self.last) {
            let activities = || {
                let earlier = |&later: &ActivityNumber| self.activities[later as usize].earlier;
                std::iter::successors(*last, earlier).map(|number| (number, &self.activities[number as usize]))
            };
            let purchases = Purchases::of(activities().map(|(_, activity)| activity));
            for (number, here) in activities().filter(|(_, activity)| activity.clicks > 0) {
                let Some(bought) = purchases.first_elsewhere(here.input) else {
                    continue;
                };
                dependent.push(DependentClicks {
                    email: email.into(),
                    input: here.input as usize,
                    count: here.clicks,
                    first: here.first_click,
                    others: self.more_clicks_of(number).collect(),
                    send: here.send,
                    bought,
                    bought_in_files: purchases.files - u64::from(here.bought.is_some()),
                });
            }
        }
        dependent
    }

    /// The clicks of an activity after the first one. `more_clicks` is sorted.
    fn more_clicks_of(&self, activity: ActivityNumber) -> impl Iterator<Item = u64> {
        let start = self.more_clicks.partition_point(|(other, _)| *other < activity);
        self.more_clicks[start..].iter().take_while(move |(other, _)| *other == activity).map(|(_, number)| *number)
    }
}

impl Purchases {
    /// The purchases in these files, the latest first.
    fn of<'a>(activities: impl Iterator<Item = &'a FileActivity>) -> Self {
        let mut purchases = Self::default();
        for activity in activities {
            if let Some(number) = activity.bought {
                purchases.files += 1;
                purchases.first = [Some((activity.input, number)), purchases.first[0]];
            }
        }
        purchases
    }

    /// The first purchase in a file other than this input.
    fn first_elsewhere(&self, input: u32) -> Option<(usize, u64)> {
        let first = self.first.iter().flatten().find(|(bought_in, _)| *bought_in != input);
        first.map(|&(bought_in, number)| (bought_in as usize, number))
    }
}

impl DependentClicks {
    /// All clicks that depend on the order of the files, in the order of the first clicks.
    pub fn merge(partitions: Vec<OrderState>) -> Vec<Self> {
        let mut dependent: Vec<_> = partitions.into_iter().flat_map(OrderState::dependent_clicks).collect();
        dependent.sort_unstable_by_key(|clicks| clicks.first);
        dependent
    }
}
