//! Records that are bad on purpose: slips that real exports have, so that one can see what becomes of them.
//!
//! Each is refused from a file of conversions and from a mixed stream alike. There it matters that a record without a
//! known type is taken for a loyalty row: such a one must fail as a row, too. None holds a line feed, so a bad record
//! stays one record.

use super::Settings;
use super::events::Event;
use super::random::{Purpose, Random, pick};
use crate::record::ConversionKind;

const MILLION: u64 = 1_000_000;

/// Decides which records are bad.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    per_million: u64,
    random: Random,
}

impl Faults {
    /// As many faults as these settings ask for.
    pub(super) const fn new(settings: &Settings) -> Self {
        let random = Random::new(settings.seed, Purpose::Faults);
        Self { per_million: settings.bad_per_million as u64, random }
    }

    /// The fault of the next record, if it has one.
    #[inline]
    pub(super) fn draw(&mut self) -> Option<Fault> {
        (self.random.below(MILLION) < self.per_million).then(|| pick(&Fault::ALL, self.random.draw()))
    }
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Fault {
    /// The type is misspelled, and there is no promo, or the record would make a loyalty row.
    #[default]
    Type,
    /// The last field is missing.
    Field,
    /// The email is empty.
    NoEmail,
    /// The email ends in a control byte.
    Control,
    /// The items are without brackets.
    Brackets,
    /// One of the items is empty.
    Item,
    /// The total cost is no number.
    Cost,
}

impl Fault {
    const ALL: [Self; 7] =
        [Self::Type, Self::Field, Self::NoEmail, Self::Control, Self::Brackets, Self::Item, Self::Cost];

    /// Appends `event` with this fault.
    #[cold]
    pub(super) fn push(self, mut event: Event, record: &mut Vec<u8>) {
        event.kind = self.kind(event.kind);
        if self == Self::Type {
            record.extend_from_slice(b", ");
            record.extend_from_slice(misspelled(event.kind));
            record.extend_from_slice(b", ");
        } else {
            event.push_start(record);
        }
        if self != Self::NoEmail {
            event.push_email(record);
        }
        self.push_end(event, record);
    }

    /// The type of a record that shows the fault, in the place of one of type `kind`.
    const fn kind(self, kind: ConversionKind) -> ConversionKind {
        match self {
            Self::Type | Self::Field | Self::NoEmail | Self::Control => kind,
            Self::Brackets | Self::Item => ConversionKind::Basket,
            Self::Cost => ConversionKind::Purchase,
        }
    }

    /// Appends what stands behind the email.
    fn push_end(self, event: Event, record: &mut Vec<u8>) {
        let cart = event.cart();
        match self {
            Self::Type | Self::NoEmail => event.push_end(record),
            Self::Control => {
                // Delete: unlike the others it does nothing to a terminal.
                record.push(0x7f);
                event.push_end(record);
            }
            Self::Field => {
                if event.kind == ConversionKind::Purchase {
                    record.extend_from_slice(b", ");
                    cart.push_items(record);
                }
            }
            Self::Brackets => {
                record.extend_from_slice(b", ");
                cart.push_ids(record);
            }
            Self::Item => {
                record.extend_from_slice(b", [");
                cart.push_ids(record);
                record.extend_from_slice(b";]");
            }
            Self::Cost => {
                record.extend_from_slice(b", ");
                cart.push_items(record);
                record.extend_from_slice(b", EUR ");
                cart.push_total_cost(record);
            }
        }
    }
}

/// A name that is nearly that of the type.
const fn misspelled(kind: ConversionKind) -> &'static [u8] {
    match kind {
        ConversionKind::Click => b"ClikConversion",
        ConversionKind::Basket => b"Basketconversion",
        ConversionKind::Purchase => b"PurchaseConversion.",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::mem::discriminant;

    use super::super::tests::{events, interleaved, members};
    use super::*;
    use crate::record::{Decoder, Expected, Layout, Record};

    fn decoder(expected: Expected) -> Decoder {
        Decoder { expected, layout: Layout::Commas, max_record_bytes: 1 << 20 }
    }

    #[test]
    fn every_bad_record_is_refused_and_every_other_one_taken_from_either_kind_of_stream() {
        let (conversions, either) = (decoder(Expected::Conversions), decoder(Expected::Either));
        for seed in 0..50 {
            let good = Settings { seed, events: 1_000, ..Settings::default() };
            let mixed = Settings { bad_per_million: 300_000, ..good };
            // What is bad shows in what is not as it would have been.
            for (good, mixed) in events(&good).iter().zip(events(&mixed)) {
                let is_good = *good == mixed;
                assert_eq!(conversions.decode(&mixed).is_ok(), is_good, "{}", mixed.escape_ascii());
                assert_eq!(matches!(either.decode(&mixed), Ok(Record::Conversion(_))), is_good);
                assert_eq!(either.decode(&mixed).is_err(), !is_good, "{}", mixed.escape_ascii());
                assert!(!mixed.contains(&b'\n'));
            }
        }
    }

    #[test]
    fn every_loyalty_row_is_taken_from_either_kind_of_stream() {
        for seed in 0..50 {
            for row in members(&Settings { seed, ..Settings::default() }) {
                assert!(matches!(decoder(Expected::Customers).decode(&row), Ok(Record::Customer(_))));
                assert!(matches!(decoder(Expected::Either).decode(&row), Ok(Record::Customer(_))));
            }
        }
    }

    #[test]
    fn every_kind_of_fault_comes_and_each_for_another_reason() {
        let bad = events(&Settings { bad_per_million: 1_000_000, ..Settings::default() });
        let reasons: HashSet<_> = bad
            .iter()
            .map(|record| discriminant(&decoder(Expected::Conversions).decode(record).unwrap_err()))
            .collect();
        assert_eq!(reasons.len(), Fault::ALL.len());
    }

    #[test]
    fn as_many_records_are_bad_as_was_asked_for() {
        let bad = |bad_per_million, events: u64| {
            let settings = Settings { bad_per_million, events, ..Settings::default() };
            let records = interleaved(&settings);
            records.iter().filter(|record| decoder(Expected::Either).decode(record).is_err()).count()
        };
        assert_eq!(bad(0, 10_000), 0);
        assert!((850..1_150).contains(&bad(10_000, 100_000)));
        assert_eq!(bad(1_000_000, 10_000), 10_000);
    }
}
