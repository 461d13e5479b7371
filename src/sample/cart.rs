//! What is put into a basket or bought, and what it costs: prices are whole cents, so a total is exact.
//!
//! Who buys does not live here.

use super::push_decimal;
use super::random::pick;

/// The prices of the catalogue in cents; an item's id is its place, counted from 1.
const CENTS: [u64; 32] = [
    999, 1_499, 2_450, 399, 5_995, 1_165, 749, 12_900, 699, 3_275, 1_890, 95, 4_499, 2_199, 8_750, 1_250, 599, 1_799,
    6_400, 2_999, 449, 10_995, 3_650, 825, 1_999, 24_900, 1_085, 549, 7_325, 2_745, 1_349, 15_999,
];

/// How many items people take.
const SIZES: [u32; 8] = [1, 1, 1, 2, 2, 2, 3, 5];

/// Bits of a draw that say how many items there are, and bits that say which one an item is.
const SIZE_BITS: u32 = 3;
const ITEM_BITS: u32 = 5;

/// Items from the catalogue, read off the low 28 bits of a draw.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cart(pub(super) u64);

impl Cart {
    /// Appends the items as a list, like `[6;14]`.
    #[inline]
    pub(super) fn push_items(self, record: &mut Vec<u8>) {
        record.push(b'[');
        self.push_ids(record);
        record.push(b']');
    }

    /// Appends the ids alone, like `6;14`.
    #[inline]
    pub(super) fn push_ids(self, record: &mut Vec<u8>) {
        for (position, place) in self.places().enumerate() {
            if position > 0 {
                record.push(b';');
            }
            push_decimal(record, place + 1);
        }
    }

    /// Appends what the items cost together, like `18.64`.
    #[inline]
    pub(super) fn push_total_cost(self, record: &mut Vec<u8>) {
        let cents: u64 = self.places().map(|place| pick(&CENTS, place)).sum();
        push_decimal(record, cents / 100);
        record.push(b'.');
        push_decimal(record, cents / 10 % 10);
        push_decimal(record, cents % 10);
    }

    /// The places of the items in the catalogue. There is at least one.
    fn places(self) -> impl Iterator<Item = u64> {
        let size = pick(&SIZES, self.0);
        (0..size).map(move |position| self.0 >> (SIZE_BITS + position * ITEM_BITS) & ((1 << ITEM_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut record = Vec::new();
        push(&mut record);
        String::from_utf8(record).unwrap()
    }

    #[test]
    fn items_six_and_nine_together_cost_what_an_example_purchase_does() {
        let cart = Cart(8 << 8 | 5 << 3 | 3);
        assert_eq!(shown(|record| cart.push_items(record)), "[6;9]");
        assert_eq!(shown(|record| cart.push_ids(record)), "6;9");
        assert_eq!(shown(|record| cart.push_total_cost(record)), "18.64");
    }

    #[test]
    fn cents_below_ten_and_prices_below_one_keep_their_digits() {
        assert_eq!(shown(|record| Cart(11 << 3).push_total_cost(record)), "0.95");
        assert_eq!(shown(|record| Cart(14 << 8 | 11 << 3 | 3).push_total_cost(record)), "88.45");
        assert_eq!(shown(|record| Cart(18 << 3).push_total_cost(record)), "64.00");
    }
}
