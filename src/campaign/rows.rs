//! What is kept of each member beside the email when the list is to be saved: the row's other fields and its turn.

use std::borrow::Cow;

use crate::record::Customer;
use crate::record::field::{Fields, trim};

/// The fields behind the email, for every member of one partition, by member number.
///
/// Rows lie behind each other in one run of bytes. A row that replaces a longer one takes its place; otherwise it goes
/// to the end and the old bytes lie idle until they are half of all. A list that names one email a million times
/// costs no more than one that names it twice.
#[derive(Debug, Default)]
pub struct Rows {
    rows: Vec<Row>,
    text: Vec<u8>,
    idle: usize,
}

/// One member's row.
#[derive(Debug, Clone, Copy)]
struct Row {
    start: usize,
    len: usize,
    turn: Turn,
}

/// When a member first appeared. The order of turns is the order of the saved list: those that came by a loyalty row
/// first, those that a purchase enrolled behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// Whether a purchase brought the member.
    pub enrolled: bool,
    /// The number of the record that did, counted over the whole run.
    pub record: u64,
}

/// Below this many idle bytes, tidying up is not worth it.
const TIDY_BYTES: usize = 1 << 16;

/// The row of somebody who was enrolled: no user names and no gender.
const ENROLLED_FIELDS: &[u8] = b", , , ";

impl Rows {
    /// Adds the row of the next member, who came by a purchase.
    pub fn enrol(&mut self, record: u64) {
        let start = self.text.len();
        self.text.extend_from_slice(ENROLLED_FIELDS);
        self.push(start, Turn { enrolled: true, record });
    }

    /// Adds the row of the next member, who came by a loyalty row.
    pub fn add(&mut self, customer: &Customer<'_>, record: u64) {
        let start = self.text.len();
        write_fields(customer, &mut self.text);
        self.push(start, Turn { enrolled: false, record });
    }

    fn push(&mut self, start: usize, turn: Turn) {
        self.rows.push(Row { start, len: self.text.len() - start, turn });
    }

    /// Replaces the row of a member who is known. The member keeps its turn.
    pub fn replace(&mut self, number: u32, customer: &Customer<'_>) {
        let Some(row) = self.rows.get_mut(number as usize) else { return };
        let appended = self.text.len();
        write_fields(customer, &mut self.text);
        let len = self.text.len() - appended;
        if len <= row.len {
            self.text.copy_within(appended.., row.start);
            self.text.truncate(appended);
            self.idle += row.len - len;
        } else {
            self.idle += row.len;
            row.start = appended;
        }
        row.len = len;
        if self.idle > TIDY_BYTES.max(self.text.len() / 2) {
            self.tidy();
        }
    }

    #[cold]
    fn tidy(&mut self) {
        let mut text = Vec::with_capacity(self.text.len() - self.idle);
        for row in &mut self.rows {
            let start = text.len();
            text.extend_from_slice(self.text.get(row.start..row.start + row.len).unwrap_or_default());
            row.start = start;
        }
        self.text = text;
        self.idle = 0;
    }

    /// The rows by member number: each one's turn, and its fields with a comma before each.
    pub fn iter(&self) -> impl Iterator<Item = (Turn, &[u8])> {
        self.rows.iter().map(|row| (row.turn, self.text.get(row.start..row.start + row.len).unwrap_or_default()))
    }
}

/// Writes `, Facebook user, Instagram user, gender` and any more fields that the row had.
fn write_fields(customer: &Customer<'_>, text: &mut Vec<u8>) {
    let fields = [customer.fb_user, customer.insta_user, customer.gender];
    for field in fields.into_iter().chain(customer.extra.into_iter().flat_map(Fields::of)) {
        text.extend_from_slice(b", ");
        text.extend_from_slice(trim(&harmless(field)));
    }
}

/// A field as the list can hold it, which is text and has no quotes: a comma or a line feed, which only CSV and frames
/// can bring, would make other fields or another row of what follows it, and becomes a space.
fn harmless(field: &[u8]) -> Cow<'_, [u8]> {
    let harms = |byte: u8| matches!(byte, b',' | b'\n');
    if field.iter().any(|&byte| harms(byte)) {
        field.iter().map(|&byte| if harms(byte) { b' ' } else { byte }).collect()
    } else {
        Cow::Borrowed(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(record: &str) -> Customer<'_> {
        Customer::decode(record.as_bytes()).unwrap()
    }

    fn texts(rows: &Rows) -> Vec<String> {
        rows.iter().map(|(_, text)| String::from_utf8(text.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_replaced_row_shows_the_later_fields_in_the_earlier_place() {
        let mut rows = Rows::default();
        rows.add(&row("a@x, fb, in, F"), 1);
        rows.enrol(2);
        rows.replace(0, &row("a@x, , , M"));
        rows.replace(1, &row("b@x, somebody, somewhere, F, more,"));
        assert_eq!(texts(&rows), [", , , M", ", somebody, somewhere, F, more, "]);
        let turns: Vec<_> = rows.iter().map(|(turn, _)| (turn.enrolled, turn.record)).collect();
        assert_eq!(turns, [(false, 1), (true, 2)]);
    }

    #[test]
    fn no_field_can_become_another_field_or_another_row() {
        let mut rows = Rows::default();
        let mut customer = row("a@x, fb, in, F");
        (customer.fb_user, customer.gender) = (b"Kim, the\nWombat,", b",F\nforged@x");
        rows.add(&customer, 0);
        assert_eq!(texts(&rows), [", Kim  the Wombat, in, F forged@x"]);
    }

    #[test]
    fn a_list_that_repeats_one_email_does_not_grow() {
        let mut rows = Rows::default();
        rows.add(&row("a@x, , , F"), 0);
        rows.add(&row("b@x, stays, , F"), 1);
        for turn in 0..20_000 {
            let names = "n".repeat(turn % 100);
            rows.replace(0, &row(&format!("a@x, {names}, , F")));
        }
        assert!(rows.text.len() < 3 * TIDY_BYTES, "{}", rows.text.len());
        assert_eq!(texts(&rows), [format!(", {}, , F", "n".repeat(99)), ", stays, , F".to_owned()]);
    }
}
