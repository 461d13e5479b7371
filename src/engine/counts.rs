//! What a replay counts.

use std::ops::AddAssign;

use crate::campaign::EventKind;
use crate::record::ConversionKind;

/// What came in, by what became of it. Every record is counted once in `records` and once in `blanks`, `rejects` or
/// what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Bytes worked off.
    pub bytes: u64,
    /// Lines and frames, whatever they held.
    pub records: u64,
    /// Blank lines.
    pub blanks: u64,
    /// Bad records.
    pub rejects: u64,
    /// Loyalty rows.
    pub customers: u64,
    /// Clicks.
    pub clicks: u64,
    /// Baskets.
    pub baskets: u64,
    /// Purchases.
    pub purchases: u64,
}

impl Counts {
    /// Conversions of all three types.
    pub const fn conversions(&self) -> u64 {
        self.clicks + self.baskets + self.purchases
    }

    /// Counts a decoded record of this kind.
    #[inline]
    pub const fn count(&mut self, kind: EventKind) {
        match kind {
            EventKind::Customer => self.customers += 1,
            EventKind::Conversion(ConversionKind::Click) => self.clicks += 1,
            EventKind::Conversion(ConversionKind::Basket) => self.baskets += 1,
            EventKind::Conversion(ConversionKind::Purchase) => self.purchases += 1,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.records += other.records;
        self.blanks += other.blanks;
        self.rejects += other.rejects;
        self.customers += other.customers;
        self.clicks += other.clicks;
        self.baskets += other.baskets;
        self.purchases += other.purchases;
    }
}
