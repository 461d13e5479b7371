//! The customers of one partition, and the effect of a record on its customer.

use std::hash::{Hash, Hasher};
use std::hint::black_box;

use super::email_index::{CustomerNumber, EmailHash, EmailHasher, EmailIndex};
use super::rule::{Decision, Transition, transition};
use crate::record::{Bytes, Conversion, DecodedRecord, FieldSpans, LoyaltyRow, RecordKind, Span};

/// The customers that a table contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracked {
    /// Only members, which is enough for decisions.
    Members,
    /// Every customer with a record.
    AllCustomers,
}

/// Whether a customer is a member, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// Not a member.
    None,
    /// A member because of a loyalty row.
    Listed,
    /// A member because of a purchase.
    Enrolled,
}

/// The effect of a record on its customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The customer; `None` for a customer that the table does not contain.
    pub customer: Option<CustomerNumber>,
    /// Whether the customer was a member before the record.
    pub was_member: bool,
    /// Whether the customer becomes a member by the record.
    pub joins: bool,
    /// The decision; the default for a loyalty row.
    pub decision: Decision,
}

/// The customers of one partition.
#[derive(Debug)]
pub struct CustomerTable {
    emails: EmailIndex,
    /// By number. `None` if the table contains only members.
    memberships: Option<Vec<Membership>>,
}

impl CustomerTable {
    /// An empty table. `hasher` must be the hasher of the events' hashes.
    pub fn new(hasher: EmailHasher, tracked: Tracked) -> Self {
        Self::with_case(hasher, tracked, false)
    }

    /// An empty table in which emails that differ only in ASCII case are one customer if `ignores_case`.
    pub fn with_case(hasher: EmailHasher, tracked: Tracked, ignores_case: bool) -> Self {
        let memberships = (tracked == Tracked::AllCustomers).then(Vec::new);
        Self { emails: EmailIndex::with_case(hasher, ignores_case), memberships }
    }

    /// Applies a record of the customer with this email, whose hash is `hash`.
    #[inline(always)]
    pub fn apply(&mut self, hash: EmailHash, email: &[u8], record: RecordKind) -> Step {
        if self.memberships.is_some() {
            return self.add_and_apply(hash, email, record);
        }
        let known = self.emails.find(hash, email);
        let was_member = known.is_some();
        let Transition { decision, joins } = transition(was_member, record);
        let customer = if joins { Some(self.emails.insert(hash, email).0) } else { known };
        Step { customer, was_member, joins, decision }
    }

    /// Not inlined: `run` has only members, and its loop is faster without this code.
    #[inline(never)]
    fn add_and_apply(&mut self, hash: EmailHash, email: &[u8], record: RecordKind) -> Step {
        let customer = self.add(hash, email);
        self.apply_to(customer, record)
    }

    /// The number of a customer, who is added if not in the table. The table must contain all customers.
    #[inline]
    pub fn add(&mut self, hash: EmailHash, email: &[u8]) -> CustomerNumber {
        let (customer, is_new) = self.emails.insert(hash, email);
        if is_new {
            self.memberships.as_mut().expect("the table tracks all customers").push(Membership::None);
        }
        customer
    }

    /// Applies a record of the customer with this number. The table must contain all customers.
    #[inline]
    pub fn apply_to(&mut self, customer: CustomerNumber, record: RecordKind) -> Step {
        let memberships = self.memberships.as_mut().expect("the table tracks all customers");
        let membership = &mut memberships[customer as usize];
        let was_member = *membership != Membership::None;
        let Transition { decision, joins } = transition(was_member, record);
        if joins {
            *membership = if decision.enrolled { Membership::Enrolled } else { Membership::Listed };
        }
        Step { customer: Some(customer), was_member, joins, decision }
    }

    /// The membership of the customer with this number. The table must contain all customers.
    pub fn membership(&self, customer: CustomerNumber) -> Membership {
        self.memberships.as_ref().expect("the table tracks all customers")[customer as usize]
    }

    /// The number of the customer with this email, if the table contains it.
    pub fn find(&self, hash: EmailHash, email: &[u8]) -> Option<CustomerNumber> {
        self.emails.find(hash, email)
    }

    pub const fn len(&self) -> usize {
        self.emails.len()
    }

    /// The emails of the customers, by their numbers.
    pub fn emails(&self) -> impl Iterator<Item = &[u8]> {
        self.emails.emails()
    }

    /// Prefetches the memory that look-ups of these hashes read, so their cache misses overlap.
    #[inline]
    pub fn prefetch(&self, hashes: impl Iterator<Item = EmailHash> + Clone) {
        self.emails.prefetch(hashes);
    }

    /// Prefetches the memberships of these customers. The table must contain all customers.
    #[inline]
    pub fn prefetch_memberships(&self, customers: impl Iterator<Item = CustomerNumber>) {
        black_box(customers.fold(false, |touched, customer| touched ^ (self.membership(customer) == Membership::None)));
    }
}

/// One decoded record, as the campaign processes it.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Its kind.
    pub kind: RecordKind,
    /// The customer's email.
    pub email: &'a [u8],
    /// The number of its line or frame, counted over all inputs. It defines the order of events.
    pub number: u64,
    /// The spans of its email and its other fields. `None` if the engine did not keep fields.
    fields: Option<(Span, &'a FieldSpans)>,
    bytes: Bytes<'a>,
}

impl<'a> Event<'a> {
    /// The event of a decoded record.
    #[inline]
    pub fn new(kind: RecordKind, email: Span, fields: Option<&'a FieldSpans>, bytes: Bytes<'a>, number: u64) -> Self {
        Self { kind, email: bytes.get(email), number, fields: fields.map(|fields| (email, fields)), bytes }
    }

    /// The promo of a conversion.
    #[inline]
    pub fn promo(&self) -> &'a [u8] {
        self.bytes.get(self.record().fields.first)
    }

    /// The event as a loyalty row; `None` for a conversion.
    #[inline]
    pub fn loyalty_row(&self) -> Option<LoyaltyRow<'a>> {
        self.record().loyalty_row(self.bytes)
    }

    /// The event as a conversion; `None` for a loyalty row.
    #[inline]
    pub fn conversion(&self) -> Option<Conversion<'a>> {
        self.record().conversion(self.bytes)
    }

    /// The text after the fields that the record needs, if there is any.
    #[inline]
    pub fn extra_fields(&self) -> Option<&'a [u8]> {
        self.bytes.get_optional(self.record().fields.extra)
    }

    /// Writes the kind and all fields of the record to a hasher.
    #[inline]
    pub fn hash_record(&self, hasher: &mut impl Hasher) {
        let FieldSpans { first, second, third, extra, time } = self.record().fields;
        self.kind.hash(hasher);
        hasher.write(self.email);
        for field in [first, second, third, extra, time] {
            self.bytes.get_optional(field).iter().for_each(|field| hasher.write(field));
        }
    }

    #[inline]
    fn record(&self) -> DecodedRecord {
        let (email, fields) = self.fields.expect("the engine keeps fields that a computation needs");
        DecodedRecord { kind: self.kind, email, fields: *fields, time: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ConversionKind::{Click, Purchase};
    use RecordKind::{Conversion, LoyaltyRow};

    fn apply(table: &mut CustomerTable, hasher: &EmailHasher, email: &str, record: RecordKind) -> (bool, bool) {
        let Step { decision, .. } = table.apply(hasher.hash(email.as_bytes()), email.as_bytes(), record);
        (decision.send, decision.enrolled)
    }

    #[test]
    fn both_kinds_of_table_make_the_same_decisions() {
        for tracked in [Tracked::Members, Tracked::AllCustomers] {
            let hasher = &EmailHasher::default();
            let mut table = CustomerTable::new(hasher.clone(), tracked);
            assert_eq!(apply(&mut table, hasher, "a@x", Conversion(Click)), (false, false));
            assert_eq!(apply(&mut table, hasher, "a@x", Conversion(Purchase)), (false, true));
            assert_eq!(apply(&mut table, hasher, "a@x", Conversion(Purchase)), (false, false));
            assert_eq!(apply(&mut table, hasher, "a@x", Conversion(Click)), (true, false));
            assert_eq!(apply(&mut table, hasher, "A@x", Conversion(Click)), (false, false), "compared byte for byte");
            assert_eq!(apply(&mut table, hasher, "b@x", LoyaltyRow), (false, false));
            assert_eq!(apply(&mut table, hasher, "b@x", Conversion(Click)), (true, false));
            assert_eq!(table.len(), if tracked == Tracked::Members { 2 } else { 3 });
        }
    }

    #[test]
    fn the_first_reason_for_a_membership_is_kept() {
        let hasher = EmailHasher::default();
        let mut table = CustomerTable::new(hasher.clone(), Tracked::AllCustomers);
        apply(&mut table, &hasher, "a@x", Conversion(Purchase));
        apply(&mut table, &hasher, "a@x", LoyaltyRow);
        apply(&mut table, &hasher, "b@x", LoyaltyRow);
        apply(&mut table, &hasher, "c@x", Conversion(Click));
        assert_eq!(
            [0, 1, 2].map(|number| table.membership(number)),
            [Membership::Enrolled, Membership::Listed, Membership::None]
        );
    }
}
