//! The events of a slice for one partition as bytes, for the process that has the partition, and its decisions as bytes.
//!
//! A decision has one byte for each event; a code that is sent again also has the number of its ledger row, which is the
//! same in all processes because they load the same ledger. The byte order does not depend on the machine.

use super::{Entry, EventBatch, Route, Slice};
use crate::campaign::{Claim, Decision, EmailHasher, Gate, SentRowNumber};
use crate::engine::Decided;
use crate::engine::wire::{Reader, push_number, push_optional};
use crate::input::Block;
use crate::record::{Bytes, ConversionKind, FieldSpans, RecordKind, Span};

const KINDS: [RecordKind; 5] = [
    RecordKind::LoyaltyRow,
    RecordKind::Conversion(ConversionKind::Click),
    RecordKind::Conversion(ConversionKind::Basket),
    RecordKind::Conversion(ConversionKind::Purchase),
    RecordKind::EarlierPurchase,
];

/// The room that is reserved for an event. It grows if the events are longer.
const USUAL_EVENT_BYTES: usize = 40;

impl EventBatch<'_> {
    /// Appends the events to `out`.
    pub(in crate::engine) fn pack(self, out: &mut Vec<u8>) {
        out.reserve(self.routes.len() * USUAL_EVENT_BYTES);
        push_number(self.input as u64, out);
        out.push(u8::from(self.has_quoting) | u8::from(!self.fields.is_empty()) << 1);
        push_number(self.routes.len() as u64, out);
        let mut line = 0;
        for route in self.routes {
            let entry = &self.entries[route.entry as usize];
            let kind = KINDS.iter().position(|kind| *kind == entry.kind).expect("all kinds are listed");
            out.push(kind as u8);
            push_number(u64::from(entry.line - line), out);
            line = entry.line;
            push_optional(Some(self.bytes.get(entry.email)), out);
            if let Some(fields) = self.fields.get(route.entry as usize) {
                let FieldSpans { first, second, third, extra, time } = *fields;
                for field in [first, second, third, extra, time] {
                    push_optional(self.bytes.get_optional(field), out);
                }
            }
        }
    }
}

/// Appends a batch without events to `out`.
pub(in crate::engine) fn pack_nothing(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 3]);
}

/// Events that were received. Its buffers are reused.
#[derive(Debug, Default)]
pub(in crate::engine) struct ReceivedEvents {
    entries: Vec<Entry>,
    fields: Vec<FieldSpans>,
    routes: Vec<Route>,
}

impl ReceivedEvents {
    /// The events in `bytes`, with the hashes of their emails.
    pub fn unpack<'a>(&'a mut self, bytes: &'a [u8], hasher: &EmailHasher, first_line: u64) -> EventBatch<'a> {
        let mut reader = Reader::new(bytes);
        let input = reader.number() as usize;
        let flags = reader.byte();
        let (has_quoting, has_fields) = (flags & 1 != 0, flags & 2 != 0);
        let count = reader.number() as u32;
        self.entries.clear();
        self.fields.clear();
        self.routes.clear();
        let mut line = 0;
        for entry in 0..count {
            let kind = KINDS[usize::from(reader.byte())];
            line += reader.number() as u32;
            let email = span(&mut reader).expect("every record has an email");
            let hash = hasher.hash(&bytes[email.clone()]);
            self.entries.push(Entry { kind, line, email: Span::in_block(email.start, email.end) });
            self.routes.push(Route { hash, entry });
            if has_fields {
                let mut field =
                    || span(&mut reader).map_or(Span::ABSENT, |range| Span::in_block(range.start, range.end));
                let (first, second, third, extra, time) = (field(), field(), field(), field(), field());
                self.fields.push(FieldSpans { first, second, third, extra, time });
            }
        }
        EventBatch {
            input,
            has_quoting,
            bytes: Bytes::of_block(bytes),
            entries: &self.entries,
            fields: &self.fields,
            routes: &self.routes,
            first_line,
        }
    }
}

fn span(reader: &mut Reader<'_>) -> Option<std::ops::Range<usize>> {
    reader.optional().map(|field| {
        let end = reader.position();
        end - field.len()..end
    })
}

const GATES: [Gate; 5] = [Gate::Promos, Gate::Suppression, Gate::Once, Gate::Holdout, Gate::Codes];

/// The bits of the byte of a decision.
const SEND: u8 = 1;
const ENROLLED: u8 = 1 << 1;
/// The number of the gate that stopped it, counted from 1.
const GATE_SHIFT: u32 = 2;
const GATE_MASK: u8 = 7;
/// What it needs: nothing, or one of these.
const CLAIM_SHIFT: u32 = 5;
const CLAIM_SEND: u8 = 1;
const CLAIM_RESEND: u8 = 2;
const CLAIM_HOLD_OUT: u8 = 3;

/// What was decided for `count` events as bytes.
pub(in crate::engine) fn pack_decided(decided: &Decided, count: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + count, 0);
    for &(event, Decision { send, enrolled, stopped_by }) in &decided.decisions {
        let gate =
            stopped_by.and_then(|gate| GATES.iter().position(|other| *other == gate)).map_or(0, |index| index + 1);
        let [send, enrolled] = [(send, SEND), (enrolled, ENROLLED)].map(|(is_set, bit)| if is_set { bit } else { 0 });
        out[start + event as usize] = send | enrolled | (gate as u8) << GATE_SHIFT;
    }
    for &(event, claim) in &decided.claims {
        let kind = match claim {
            Claim::Send => CLAIM_SEND,
            Claim::Resend(SentRowNumber(row)) => {
                push_number(row.into(), out);
                CLAIM_RESEND
            }
            Claim::HoldOut => CLAIM_HOLD_OUT,
            // Without codes nothing is withheld, so nothing can be withheld again.
            Claim::StoppedByOnce => continue,
        };
        out[start + event as usize] |= kind << CLAIM_SHIFT;
    }
}

impl Slice {
    /// Appends what [`pack_decided`] wrote for a partition to `out`, with the numbers of the entries in this slice.
    pub(in crate::engine) fn unpack_decided(&self, partition: usize, bytes: &[u8], out: &mut Decided) {
        let routes = &self.routes[partition];
        let (bytes, rows) = bytes.split_at_checked(routes.len()).expect("there is one decision for each event");
        let mut rows = Reader::new(rows);
        out.decisions.reserve(routes.len());
        // Which events have a decision that is not the default cannot be predicted, so all are appended.
        for (&Route { entry, .. }, &byte) in routes.iter().zip(bytes) {
            let gate = usize::from(byte >> GATE_SHIFT & GATE_MASK);
            let stopped_by = gate.checked_sub(1).map(|index| GATES[index]);
            let decision = Decision { send: byte & SEND != 0, enrolled: byte & ENROLLED != 0, stopped_by };
            out.decisions.push((entry, decision));
            let claim = match byte >> CLAIM_SHIFT {
                0 => continue,
                CLAIM_SEND => Claim::Send,
                CLAIM_RESEND => Claim::Resend(SentRowNumber(rows.number() as u32)),
                CLAIM_HOLD_OUT => Claim::HoldOut,
                other => unreachable!("there is no claim {other}"),
            };
            out.claims.push((entry, claim));
        }
        assert!(rows.is_at_end(), "each row belongs to a decision");
    }

    /// Appends the events for a partition to `out`.
    pub(in crate::engine) fn pack(&self, block: &Block, partition: usize, out: &mut Vec<u8>) {
        self.events(block, partition).pack(out);
    }
}
