//! The state of a partition as bytes, for the first process of a cluster: its figures, and the rows of its members.

use super::{Decide, DecideState};
use crate::campaign::SavedRows;
use crate::engine::Computation;
use crate::engine::cluster::Portable;
use crate::engine::wire::{Reader, push_number, push_optional};
use crate::record::RecordKind;

impl Portable for Decide<'static> {
    fn export(&self, state: &DecideState<'static>) -> Vec<u8> {
        let mut out = Vec::new();
        for figure in [state.sent, state.enrolled, state.members() as u64] {
            push_number(figure, &mut out);
        }
        let rows = state.rows.iter().flat_map(SavedRows::rows);
        for (email, (is_enrolled, record, fields)) in state.customers.emails().zip(rows) {
            out.push(u8::from(is_enrolled));
            push_number(record, &mut out);
            push_optional(Some(email), &mut out);
            push_optional(Some(fields), &mut out);
        }
        out
    }

    fn import(&self, bytes: &[u8]) -> DecideState<'static> {
        const COMPLETE: &str = "a row is complete";
        let mut reader = Reader::new(bytes);
        let hasher = self.hasher();
        let mut state = self.new_state(&hasher);
        (state.sent, state.enrolled) = (reader.number(), reader.number());
        let members = reader.number() as usize;
        if let Some(rows) = &mut state.rows {
            while !reader.is_at_end() {
                let (is_enrolled, record) = (reader.byte() != 0, reader.number());
                let email = reader.optional().expect(COMPLETE);
                state.customers.apply(hasher.hash(email), email, RecordKind::LoyaltyRow);
                rows.push_row(is_enrolled, record, reader.optional().expect(COMPLETE));
            }
        }
        state.members_elsewhere = members - state.customers.len();
        state
    }
}
