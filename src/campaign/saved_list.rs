//! The loyalty list at the end of a run: the fields and the order of the members.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{CustomerTable, Event, Step};
use crate::record::field::trim;
use crate::record::{LoyaltyRow, RecordKind};

/// The fields that follow the email, for every member of one partition, by customer number.
///
/// Rows are stored one after the other in one buffer. A row overwrites a longer row of the same member; otherwise it is
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
    position: Position,
}

/// The position of a member in the saved list: first the members by a loyalty row, then those enrolled by a purchase,
/// each in order of first appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    is_enrolled: bool,
    /// The number of the record that made the customer a member.
    record: u64,
}

/// The minimum number of unused bytes before compacting.
const COMPACT_BYTES: usize = 1 << 16;

/// The fields of a member enrolled by a purchase: no user names and no gender.
const ENROLLED_FIELDS: &[u8] = b", , , ";

impl SavedRows {
    /// Keeps the fields of a member. `step` is the effect of `event` in a table of members.
    pub fn apply(&mut self, event: &Event<'_>, step: Step) {
        let start = self.text.len();
        match (event.kind, step.customer) {
            (RecordKind::LoyaltyRow, Some(number)) => {
                let row = event.loyalty_row().expect("the event is a loyalty row");
                write_fields(&row, &mut self.text);
                if step.joins {
                    self.push(start, Position { is_enrolled: false, record: event.number });
                } else {
                    self.replace(number, start);
                }
            }
            _ if step.joins => {
                self.text.extend_from_slice(ENROLLED_FIELDS);
                self.push(start, Position { is_enrolled: true, record: event.number });
            }
            _ => {}
        }
    }

    fn push(&mut self, start: usize, position: Position) {
        self.rows.push(Row { start, len: self.text.len() - start, position });
    }

    /// Replaces the row of a member with the fields from `appended` on. The position does not change.
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

    fn iter(&self) -> impl Iterator<Item = (Position, &[u8])> {
        self.rows.iter().map(|row| (row.position, &self.text[row.start..row.start + row.len]))
    }
}

/// The members of all partitions in the order of the saved list: the email, and the other fields with a comma before
/// each.
pub fn members_in_order<'a>(
    partitions: &[(&'a CustomerTable, &'a SavedRows)],
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
    let listed = merged(partitions, false);
    listed.chain(merged(partitions, true)).map(|(_, email, fields)| (email, fields))
}

/// Merges the members of the partitions, which are in order within each partition.
fn merged<'a>(
    partitions: &[(&'a CustomerTable, &'a SavedRows)],
    is_enrolled: bool,
) -> impl Iterator<Item = (Position, &'a [u8], &'a [u8])> + use<'a> {
    let members = |(table, rows): &(&'a CustomerTable, &'a SavedRows)| {
        let members = rows.iter().zip(table.emails()).map(|((position, fields), email)| (position, email, fields));
        members.filter(move |(position, ..)| position.is_enrolled == is_enrolled)
    };
    let mut members: Vec<_> = partitions.iter().map(members).collect();
    // Record numbers are unique, so the heap compares only positions.
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

/// Writes `, Facebook user, Instagram user, gender` and any further fields of the row.
fn write_fields(row: &LoyaltyRow<'_>, text: &mut Vec<u8>) {
    let extra = row.extra.into_iter().flat_map(|extra| extra.split(|&byte| byte == b','));
    for field in [row.fb_user, row.insta_user, row.gender].into_iter().chain(extra) {
        text.extend_from_slice(b", ");
        text.extend_from_slice(trim(&without_separators(field)));
    }
}

/// A field for the saved list, which is text without quoting. A comma or a line feed, possible only in CSV and frames,
/// becomes a space.
fn without_separators(field: &[u8]) -> Cow<'_, [u8]> {
    let is_separator = |byte: u8| matches!(byte, b',' | b'\n');
    if field.iter().any(|&byte| is_separator(byte)) {
        field.iter().map(|&byte| if is_separator(byte) { b' ' } else { byte }).collect()
    } else {
        Cow::Borrowed(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::{EmailHasher, Tracked};
    use crate::record::{Bytes, ConversionKind, FieldSpans, Span};

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
            let text = |(email, fields)| String::from_utf8([email, fields].concat()).unwrap();
            members_in_order(&[(&self.table, &self.rows)]).map(text).collect()
        }
    }

    #[test]
    fn a_later_row_replaces_the_fields_and_keeps_the_position() {
        let mut list = List::new();
        list.row(["a@x", "fb", "in", "F", ""]);
        list.purchase("b@x");
        list.row(["c@x", "", "", "", ""]);
        list.row(["a@x", "", "", "M", ""]);
        list.row(["b@x", "longer", "than before", "F", " more, "]);
        assert_eq!(list.members(), ["a@x, , , M", "c@x, , , ", "b@x, longer, than before, F, more, "]);
    }

    #[test]
    fn a_comma_or_line_feed_in_a_field_becomes_a_space() {
        let mut list = List::new();
        list.row(["a@x", "Kim, the Wombat", " in\n", "F\nforged@x", ""]);
        assert_eq!(list.members(), ["a@x, Kim  the Wombat, in, F forged@x"]);
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
        assert_eq!(list.members(), [format!("a@x, {}, , F", "n".repeat(99)), "b@x, stays, , F".to_owned()]);
    }
}
