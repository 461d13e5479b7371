//! Loyalty rows and conversions in one stream, as they would arrive.
//!
//! Half of the members are there before anything happens; the others join while conversions come in. What is in the
//! records does not live here: they are the same ones, in the same order, as in two files.

use super::random::{Purpose, Random};
use super::{Events, Members, Settings};

/// Makes both up, in arrival order.
#[derive(Debug, Clone)]
pub struct Interleaved {
    members: Members,
    events: Events,
    /// How many members are still to come before the first conversion may.
    first: u64,
    random: Random,
}

impl Interleaved {
    /// The stream that these settings ask for.
    pub fn new(settings: &Settings) -> Self {
        Self {
            members: Members::new(settings),
            events: Events::new(settings),
            first: settings.members / 2,
            random: Random::new(settings.seed, Purpose::Order),
        }
    }

    /// Appends the next row or conversion to `record`, without a line feed. False when there is none left.
    pub fn write_next(&mut self, record: &mut Vec<u8>) -> bool {
        if self.is_members_turn() { self.members.write_next(record) } else { self.events.write_next(record) }
    }

    fn is_members_turn(&mut self) -> bool {
        if let Some(first) = self.first.checked_sub(1) {
            self.first = first;
            return true;
        }
        // Drawing by what is left makes every order of the rest as likely as any other.
        let members = self.members.left();
        self.random.below(members.saturating_add(self.events.left())) < members
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, interleaved, members};
    use super::*;
    use crate::record::ConversionKind;
    use crate::record::field::Fields;

    fn is_conversion(record: &[u8]) -> bool {
        Fields::of(record).nth(1).and_then(ConversionKind::from_name).is_some()
    }

    #[test]
    fn all_members_and_all_events_come_each_in_their_own_order() {
        for (rows, conversions) in [(0, 50), (50, 0), (1, 1), (1_000, 30), (30, 1_000), (501, 499)] {
            let settings = Settings { members: rows, events: conversions, ..Settings::default() };
            let (found, rest): (Vec<_>, Vec<_>) =
                interleaved(&settings).into_iter().partition(|record| is_conversion(record));
            assert_eq!(found, events(&settings));
            assert_eq!(rest, members(&settings));
        }
    }

    #[test]
    fn half_of_the_members_come_first_and_the_others_all_along() {
        let stream = interleaved(&Settings::default());
        let before = stream.iter().take_while(|record| !is_conversion(record)).count();
        assert!((500..520).contains(&before), "{before}");
        for part in stream[before..].chunks(2_100) {
            let members = part.iter().filter(|record| !is_conversion(record)).count();
            assert!((60..140).contains(&members), "{members} of {}", part.len());
        }
    }
}
