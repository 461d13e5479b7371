//! The list of members as it stands at the end, over all partitions.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::LoyaltyCustomers;
use super::rows::Turn;

/// The members of all partitions: each one's email, and the row's other fields with a comma before each.
///
/// First come those who came by a loyalty row, in the order in which their emails first appeared, then those who were
/// enrolled, in theirs. The states must have been told to keep rows.
pub fn members(partitions: &[LoyaltyCustomers]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let in_order = [false, true].into_iter().flat_map(|enrolled| merged(partitions, enrolled));
    in_order.map(|(_, email, fields)| (email, fields))
}

/// Merges the partitions' members, which are in order within each, by their turns.
fn merged(partitions: &[LoyaltyCustomers], enrolled: bool) -> impl Iterator<Item = (Turn, &[u8], &[u8])> {
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
