//! Telling customers' stories: the computation of `adseg explain`.
//!
//! Each partition applies the campaign's rule as a run does, and notes what was decided. The decision on an email hangs
//! on that email's own records alone, so only the emails that were asked for are applied, and those that are like one of
//! them. Memory is set by their records; all others are passed over.

use std::collections::{HashMap, HashSet};

use foldhash::quality::RandomState;

use super::{Computation, EventBatch};
use crate::campaign::{Decision, Event, EventKind, Keep, LoyaltyCustomers};
use crate::partition::EmailHasher;
use crate::record::{ConversionKind, likeness};

/// Applies the campaign's rule to some emails and notes what happens.
#[derive(Debug, Clone)]
pub struct Explaining {
    /// The likenesses of the emails that are wanted.
    wanted: HashSet<Vec<u8>, RandomState>,
}

impl Explaining {
    /// Tells the stories of `emails` and of all that are like one of them.
    pub fn new<'a>(emails: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self { wanted: emails.into_iter().map(|email| likeness(email).into_owned()).collect() }
    }
}

/// One partition's state.
#[derive(Debug)]
pub struct Watched {
    customers: LoyaltyCustomers,
    stories: HashMap<Vec<u8>, Story>,
}

/// Everything that happened to one email, in order.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// What happened; never nothing.
    pub moments: Vec<Moment>,
    /// The number of the record that made the email a member.
    pub member_since: Option<u64>,
}

/// One record of an email.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The number of its line or frame, counted over the whole run.
    pub number: u64,
    /// Whether the email was a member before it.
    pub member: bool,
    /// What it was.
    pub what: What,
}

/// What a record was, and what it led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A row of the loyalty list.
    Listed,
    /// A conversion.
    Decided {
        /// Its type.
        kind: ConversionKind,
        /// The promotion.
        promo: Box<[u8]>,
        /// What was decided on it.
        decision: Decision,
    },
}

impl Computation for Explaining {
    type State = Watched;
    type Answer = ();

    fn new_state(&self, hasher: &EmailHasher) -> Watched {
        Watched { customers: LoyaltyCustomers::new(hasher.clone(), Keep::Emails), stories: HashMap::new() }
    }

    /// A basket decides nothing, but it is part of the story.
    fn concerns(&self, _kind: EventKind) -> bool {
        true
    }

    fn apply(&self, state: &mut Watched, events: EventBatch<'_>, _answers: &mut Vec<(u32, ())>) {
        for (_, hash, event) in events.events() {
            if self.wanted.contains(likeness(event.email).as_ref()) {
                let decision = state.customers.apply(hash, &event);
                state.note(&event, decision);
            }
        }
    }
}

impl Watched {
    fn note(&mut self, event: &Event<'_>, decision: Decision) {
        let what = match event.conversion() {
            None => What::Listed,
            Some(conversion) => {
                What::Decided { kind: conversion.action.kind(), promo: conversion.promo.into(), decision }
            }
        };
        let joins = what == What::Listed || decision.enrolled;
        let story = match self.stories.get_mut(event.email) {
            Some(story) => story,
            None => self.stories.entry(event.email.to_owned()).or_default(),
        };
        story.moments.push(Moment { number: event.number, member: story.member_since.is_some(), what });
        if joins {
            story.member_since.get_or_insert(event.number);
        }
    }
}

/// The stories of all partitions.
#[derive(Debug)]
pub struct Stories(HashMap<Vec<u8>, Vec<(Vec<u8>, Story)>>);

impl Stories {
    /// What the partitions noted together.
    pub fn collect(partitions: Vec<Watched>) -> Self {
        let mut alike: HashMap<_, Vec<_>> = HashMap::new();
        for (email, story) in partitions.into_iter().flat_map(|partition| partition.stories) {
            alike.entry(likeness(&email).into_owned()).or_default().push((email, story));
        }
        for stories in alike.values_mut() {
            stories.sort_by_key(|(_, story)| story.moments.first().map(|moment| moment.number));
        }
        Self(alike)
    }

    /// The story of this email. `None` when no record has it.
    pub fn of(&self, email: &[u8]) -> Option<&Story> {
        self.like(email).find(|(other, _)| *other == email).map(|(_, story)| story)
    }

    /// The emails that are like this one but not it, in the order in which they first appeared, with their stories.
    pub fn near_misses<'a>(&'a self, email: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a Story)> {
        self.like(email).filter(move |(other, _)| *other != email)
    }

    fn like(&self, email: &[u8]) -> impl Iterator<Item = (&[u8], &Story)> {
        let alike = self.0.get(likeness(email).as_ref());
        alike.into_iter().flatten().map(|(email, story)| (email.as_slice(), story))
    }
}
