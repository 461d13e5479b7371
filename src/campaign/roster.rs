//! The list of members as it stands at the end, over all partitions.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use super::LoyaltyCustomers;
use super::rows::Turn;
use crate::record::field::trim;

/// Text that begins like this would lose it when the list is read again: it is taken for a byte-order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Writes the members of all partitions in the loyalty text format.
///
/// First those who came by a loyalty row, in the order in which their emails first appeared, then those who were
/// enrolled, in theirs. The states must have been told to keep rows. A row that would be longer than
/// `max_record_bytes` is written without the spaces behind its commas: then it is no longer than the record it came
/// from, and the list can be read again under the same limit.
///
/// # Errors
/// When `out` cannot be written.
pub fn roster(partitions: &[LoyaltyCustomers], max_record_bytes: usize, out: &mut impl Write) -> io::Result<()> {
    let mut first = true;
    for enrolled in [false, true] {
        for (_, email, fields) in in_order(partitions, enrolled) {
            if first && email.starts_with(BYTE_ORDER_MARK) {
                out.write_all(BYTE_ORDER_MARK)?;
            }
            first = false;
            out.write_all(email)?;
            if email.len().saturating_add(fields.len()) > max_record_bytes {
                // A comma stands in no field, and no field begins with a space.
                for field in fields.split(|&byte| byte == b',').skip(1) {
                    out.write_all(b",")?;
                    out.write_all(trim(field))?;
                }
            } else {
                out.write_all(fields)?;
            }
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}

/// Merges the partitions' members, which are in order within each, by their turns.
fn in_order(partitions: &[LoyaltyCustomers], enrolled: bool) -> impl Iterator<Item = (Turn, &[u8], &[u8])> {
    let mut members: Vec<_> = partitions
        .iter()
        .map(|partition| partition.rows().filter(move |(turn, ..)| turn.enrolled == enrolled))
        .collect();
    // No two records have the same number, so the heap never compares beyond the turn.
    let mut next = BinaryHeap::with_capacity(members.len());
    for (partition, rows) in members.iter_mut().enumerate() {
        next.extend(rows.next().map(|row| Reverse((row, partition))));
    }
    std::iter::from_fn(move || {
        let Reverse((row, partition)) = next.pop()?;
        let following = members.get_mut(partition).and_then(Iterator::next);
        next.extend(following.map(|row| Reverse((row, partition))));
        Some(row)
    })
}
