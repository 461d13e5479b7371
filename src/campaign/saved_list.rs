//! The loyalty list at the end of a run: the fields and the order of the members.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{CustomerTable, Event, Step};
use crate::record::RecordKind;
use crate::record::field::trim;

/// The fields that follow the email, for every member of one partition, by customer number.
///
/// Rows are stored one after the other in one buffer, each field after its length. A row overwrites a longer row of the same member; otherwise it is
/// appended. The buffer is compacted when half of it is unused. So a list that repeats one email a million times needs
/// no more memory than a list that repeats it twice.
#[derive(Debug, Default)]
pub struct SavedRows {
    rows: Vec<Row>,
    text: Vec<u8>,
    unused: usize,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    start: usize,
    len: usize,
    order: ListOrder,
}

/// The order of the members in the saved list: first the members because of a loyalty row, then those enrolled by a
/// purchase, each in order of first appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ListOrder {
    is_enrolled: bool,
    /// The number of the record that made the customer a member.
    record: u64,
}

/// The minimum number of unused bytes before compacting.
const COMPACT_BYTES: usize = 1 << 16;

/// The fields of a member enrolled by a purchase: no user names and no gender.
const ENROLLED_FIELDS: [&[u8]; 3] = [b""; 3];

impl SavedRows {
    /// Keeps the fields of a member. `step` is the effect of `event` in a table of members.
    pub fn apply(&mut self, event: &Event<'_>, step: Step) {
        let start = self.text.len();
        match (event.kind, step.customer) {
            (RecordKind::LoyaltyRow, Some(number)) => {
                let row = event.loyalty_row().expect("the event is a loyalty row");
                let extra = row.extra.into_iter().flat_map(|extra| extra.split(|&byte| byte == b',')).map(trim);
                push_fields([row.fb_user, row.insta_user, row.gender].into_iter().chain(extra), &mut self.text);
                if step.joins {
                    self.push(start, ListOrder { is_enrolled: false, record: event.number });
                } else {
                    self.replace(number, start);
                }
            }
            _ if step.joins => {
                push_fields(ENROLLED_FIELDS.into_iter(), &mut self.text);
                self.push(start, ListOrder { is_enrolled: true, record: event.number });
            }
            _ => {}
        }
    }

    fn push(&mut self, start: usize, order: ListOrder) {
        self.rows.push(Row { start, len: self.text.len() - start, order });
    }

    /// Replaces the row of a member with the fields from `appended` on. Its order does not change.
    fn replace(&mut self, number: u32, appended: usize) {
        let row = &mut self.rows[number as usize];
        let len = self.text.len() - appended;
        if len <= row.len {
            self.text.copy_within(appended.., row.start);
            self.text.truncate(appended);
            self.unused += row.len - len;
        } else {
            self.unused += row.len;
            row.start = appended;
        }
        row.len = len;
        if self.unused > COMPACT_BYTES.max(self.text.len() / 2) {
            self.compact();
        }
    }

    #[cold]
    fn compact(&mut self) {
        let mut text = Vec::with_capacity(self.text.len() - self.unused);
        for row in &mut self.rows {
            let start = text.len();
            text.extend_from_slice(&self.text[row.start..row.start + row.len]);
            row.start = start;
        }
        self.text = text;
        self.unused = 0;
    }

    fn iter(&self) -> impl Iterator<Item = (ListOrder, &[u8])> {
        self.rows.iter().map(|row| (row.order, &self.text[row.start..row.start + row.len]))
    }
}

#[cfg(feature = "cluster")]
impl SavedRows {
    /// The rows by customer number: whether a purchase made the customer a member, the number of the record that did,
    /// and the fields.
    pub fn rows(&self) -> impl Iterator<Item = (bool, u64, &[u8])> {
        self.iter().map(|(order, fields)| (order.is_enrolled, order.record, fields))
    }

    /// Adds the row of the next customer, as [`Self::rows`] returned it.
    pub fn push_row(&mut self, is_enrolled: bool, record: u64, fields: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(fields);
        self.push(start, ListOrder { is_enrolled, record });
    }
}

/// A member of the saved list.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The email.
    pub email: &'a [u8],
    fields: &'a [u8],
}

impl<'a> Member<'a> {
    /// The Facebook user, the Instagram user, the gender, and any further fields of the row.
    pub fn fields(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.fields;
        std::iter::from_fn(move || pop_field(&mut rest))
    }
}

/// The members of all partitions in the order of the saved list.
pub fn members_in_order<'a>(
    partitions: &[(&'a CustomerTable, &'a SavedRows)],
) -> impl Iterator<Item = Member<'a>> + use<'a> {
    let listed = merged(partitions, false);
    listed.chain(merged(partitions, true)).map(|(_, email, fields)| Member { email, fields })
}

/// Merges the members of the partitions, which are in order within each partition.
fn merged<'a>(
    partitions: &[(&'a CustomerTable, &'a SavedRows)],
    is_enrolled: bool,
) -> impl Iterator<Item = (ListOrder, &'a [u8], &'a [u8])> + use<'a> {
    let members = |(table, rows): &(&'a CustomerTable, &'a SavedRows)| {
        let members = rows.iter().zip(table.emails()).map(|((order, fields), email)| (order, email, fields));
        members.filter(move |(order, ..)| order.is_enrolled == is_enrolled)
    };
    let mut members: Vec<_> = partitions.iter().map(members).collect();
    // Record numbers are unique, so the heap compares only these.
    let mut next = BinaryHeap::with_capacity(members.len());
    for (partition, rows) in members.iter_mut().enumerate() {
        next.extend(rows.next().map(|row| Reverse((row, partition))));
    }
    std::iter::from_fn(move || {
        let Reverse((row, partition)) = next.pop()?;
        next.extend(members[partition].next().map(|row| Reverse((row, partition))));
        Some(row)
    })
}

/// The bits of a length in one byte. The highest bit means that another byte follows.
const LENGTH_BITS: u32 = 7;

/// Appends fields, each after its length.
fn push_fields<'a>(fields: impl Iterator<Item = &'a [u8]>, text: &mut Vec<u8>) {
    for field in fields {
        let mut length = field.len();
        while length >> LENGTH_BITS > 0 {
            text.push(length as u8 | 1 << LENGTH_BITS);
            length >>= LENGTH_BITS;
        }
        text.push(length as u8);
        text.extend_from_slice(field);
    }
}

/// Removes the first field of `fields`.
fn pop_field<'a>(fields: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (mut length, mut shift) = (0, 0);
    loop {
        let (&byte, rest) = fields.split_first()?;
        *fields = rest;
        length |= usize::from(byte & !(1 << LENGTH_BITS)) << shift;
        shift += LENGTH_BITS;
        if byte >> LENGTH_BITS == 0 {
            break;
        }
    }
    let (field, rest) = fields.split_at(length);
    *fields = rest;
    Some(field)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::campaign::{EmailHasher, Tracked};
    use crate::record::{Bytes, ConversionKind, FieldSpans, Span};

    /// The fields of one member.
    pub struct OwnedMember {
        email: Vec<u8>,
        fields: Vec<u8>,
    }

    impl OwnedMember {
        pub fn as_member(&self) -> Member<'_> {
            Member { email: &self.email, fields: &self.fields }
        }
    }

    /// A member with these fields, of which the first is the email.
    pub fn member(row: &[&str]) -> OwnedMember {
        let mut fields = Vec::new();
        push_fields(row[1..].iter().map(|field| field.as_bytes()), &mut fields);
        OwnedMember { email: row[0].as_bytes().to_vec(), fields }
    }

    /// A table of members and their rows, to which records are applied one by one.
    struct List {
        hasher: EmailHasher,
        table: CustomerTable,
        rows: SavedRows,
        records: u64,
    }

    impl List {
        fn new() -> Self {
            let hasher = EmailHasher::default();
            let table = CustomerTable::new(hasher.clone(), Tracked::Members);
            Self { hasher, table, rows: SavedRows::default(), records: 0 }
        }

        fn apply(&mut self, kind: RecordKind, fields: [&str; 5]) {
            let block = fields.concat();
            let mut start = 0;
            let [email, first, second, third, extra] = fields.map(|field| {
                start += field.len();
                Span::in_block(start - field.len(), start)
            });
            let extra = if fields[4].is_empty() { Span::ABSENT } else { extra };
            let spans = FieldSpans { first, second, third, extra, time: Span::ABSENT };
            let event = Event::new(kind, email, Some(&spans), Bytes::of_block(block.as_bytes()), self.records);
            let step = self.table.apply(self.hasher.hash(event.email), event.email, kind);
            self.rows.apply(&event, step);
            self.records += 1;
        }

        fn row(&mut self, fields: [&str; 5]) {
            self.apply(RecordKind::LoyaltyRow, fields);
        }

        fn purchase(&mut self, email: &str) {
            self.apply(RecordKind::Conversion(ConversionKind::Purchase), [email, "", "", "", ""]);
        }

        fn members(&self) -> Vec<String> {
            let text = |member: Member<'_>| {
                let fields: Vec<_> = std::iter::once(member.email).chain(member.fields()).collect();
                String::from_utf8(fields.join(&b"|"[..])).unwrap()
            };
            members_in_order(&[(&self.table, &self.rows)]).map(text).collect()
        }
    }

    #[test]
    fn a_later_row_replaces_the_fields_and_keeps_its_order() {
        let mut list = List::new();
        list.row(["a@x", "fb", "in", "F", ""]);
        list.purchase("b@x");
        list.row(["c@x", "", "", "", ""]);
        list.row(["a@x", "", "", "M", ""]);
        list.row(["b@x", "longer", "than before", "F", " more, "]);
        assert_eq!(list.members(), ["a@x|||M", "c@x|||", "b@x|longer|than before|F|more|"]);
    }

    #[test]
    fn fields_of_any_length_and_bytes_are_kept() {
        let mut list = List::new();
        let long = "n".repeat(70_000);
        list.row(["a@x", "Kim, the Wombat", &long, "F\n", ""]);
        list.row(["b@x", &"m".repeat(128), "", "", ""]);
        assert_eq!(list.members(), [format!("a@x|Kim, the Wombat|{long}|F\n"), format!("b@x|{}||", "m".repeat(128))]);
    }

    #[test]
    fn a_list_that_repeats_one_email_does_not_grow() {
        let mut list = List::new();
        list.row(["a@x", "", "", "F", ""]);
        list.row(["b@x", "stays", "", "F", ""]);
        for turn in 0..20_000 {
            list.row(["a@x", &"n".repeat(turn % 100), "", "F", ""]);
        }
        assert!(list.rows.text.len() < 3 * COMPACT_BYTES, "{}", list.rows.text.len());
        assert_eq!(list.members(), [format!("a@x|{}||F", "n".repeat(99)), "b@x|stays||F".to_owned()]);
    }
}
