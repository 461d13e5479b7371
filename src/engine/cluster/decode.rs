//! The work of a block's owner: decoding the block, and encoding it with the decisions of the partitions.

use std::cell::RefCell;
use std::iter;
use std::rc::Rc;
use std::sync::Arc;

use rapidhash::v3::RapidSecrets;

use super::message::{Kind, Message};
use super::part::portable_hash;
use super::sends::{pack_no_sends, pack_sends, sends_of_block};
use super::source::SourceBlock;
use super::worker::Job;
use super::{Portable, Work};
use crate::campaign::{EmailHash, EmailHasher, Partitioner, with_lower_case};
use crate::engine::slice::packet::pack_nothing;
use crate::engine::slice::{DecodeContext, Slice};
use crate::engine::wire::{push_number, push_optional};
use crate::engine::{Computation, Decided, EventBatch, Settings};
use crate::input::{Block, Buffers, Content, ReaderSettings};
use crate::record::{Decoder, RecordKind};

/// A computation whose emails are assigned to partitions by the portable hash.
struct Routed<'a, C> {
    computation: &'a C,
    secrets: &'a RapidSecrets,
    ignores_case: bool,
}

impl<C: Computation> Computation for Routed<'_, C> {
    type State = C::State;

    fn new_state(&self, hasher: &EmailHasher) -> C::State {
        self.computation.new_state(hasher)
    }

    fn needs_kind(&self, kind: RecordKind) -> bool {
        self.computation.needs_kind(kind)
    }

    #[inline]
    fn hash(&self, _hasher: &EmailHasher, email: &[u8]) -> EmailHash {
        let hash = |email: &[u8]| portable_hash(self.secrets, email);
        EmailHash(if self.ignores_case { with_lower_case(email, hash) } else { hash(email) })
    }

    fn apply(&self, state: &mut C::State, events: EventBatch<'_>, decided: &mut Decided) {
        self.computation.apply(state, events, decided);
    }
}

/// The spare slices of a worker, and the spare buffers of its reader.
struct Spare {
    slices: RefCell<Vec<Slice>>,
    buffers: Arc<Buffers>,
    reader: ReaderSettings,
}

/// The maximum size of a slice's spare buffer.
const fn spare_bytes(reader: ReaderSettings) -> usize {
    reader.block_bytes.saturating_mul(4)
}

/// Decodes the blocks of a worker.
pub struct Decoding<C> {
    pub job: Arc<Job<C>>,
    index: usize,
    peers: usize,
    secrets: RapidSecrets,
    partitioner: Partitioner,
    spare: Rc<Spare>,
}

/// A decoded block that waits for its decisions. A piece of an oversized record and damage have no slice.
pub struct Pending {
    decoded: Option<(Block, Slice)>,
    spare: Rc<Spare>,
}

/// What a digest describes.
pub const DAMAGE: u8 = u8::MAX;

impl<C: Portable> Decoding<C> {
    pub fn new(job: Arc<Job<C>>, index: usize, peers: usize, buffers: Arc<Buffers>) -> Self {
        let partitions = u32::try_from(peers).ok().and_then(|peers| peers.try_into().ok());
        let partitioner = Partitioner {
            hasher: job.work.computation.hasher(),
            partitions: partitions.expect("there are 1 to 2^32 workers"),
        };
        let secrets = RapidSecrets::seed(job.hash_seed);
        let spare = Rc::new(Spare { slices: RefCell::default(), buffers, reader: job.work.settings.reader });
        Self { job, index, peers, secrets, partitioner, spare }
    }

    /// Decodes a block. Returns the messages about it: the events for every partition, and the digest.
    pub fn decode(&mut self, block: SourceBlock) -> (Pending, Vec<Message>) {
        let mut digest = vec![u8::from(block.ends_segment) | u8::from(block.ends_input) << 1];
        let Settings { reader, max_rejects, .. } = self.job.work.settings;
        let mut slice = None;
        match block.content {
            Err(damage) => {
                digest.push(DAMAGE);
                push_optional(Some(damage.as_bytes()), &mut digest);
            }
            Ok(block) => {
                digest.push(block.content.code());
                push_number(block.offset, &mut digest);
                if block.content == Content::Records {
                    let mut records = self.spare.slices.borrow_mut().pop().unwrap_or_else(|| Slice::new(self.peers));
                    let computation = &self.job.work.computation;
                    let context = DecodeContext {
                        decoder: Decoder { source: block.input.source, max_record_bytes: reader.max_record_bytes },
                        partitioner: &self.partitioner,
                        computation: &Routed {
                            computation,
                            secrets: &self.secrets,
                            ignores_case: self.partitioner.hasher.ignores_case(),
                        },
                        keeps_fields: computation.needs_fields() || self.job.work.encoder.needs_fields(),
                        allowed_rejects: max_rejects,
                        spare_bytes: spare_bytes(reader),
                    };
                    records.decode(&block, 0..block.bytes().len(), &context);
                    records.digest(&block, &mut digest);
                    slice = Some((block, records));
                } else {
                    push_optional(Some(block.bytes()), &mut digest);
                }
            }
        }
        let messages = (0..self.peers).map(|partition| {
            let mut body = Vec::new();
            match &slice {
                Some((block, slice)) => slice.pack(block, partition, &mut body),
                None => pack_nothing(&mut body),
            }
            Message::new(self.index, partition, Kind::Events, body)
        });
        let mut messages: Vec<_> = messages.collect();
        messages.push(Message::new(self.index, 0, Kind::Digest, digest));
        (Pending { decoded: slice, spare: Rc::clone(&self.spare) }, messages)
    }
}

/// An encoded block.
pub struct Encoded {
    pub output: Vec<u8>,
    /// The number of conversions.
    pub conversions: u64,
    /// The reasons and the ledger rows, packed.
    pub sends: Vec<u8>,
}

impl Pending {
    /// Encodes the block with the decisions of all partitions, in their order. The output is in this buffer.
    pub fn encode<'a, C>(self, decisions: impl Iterator<Item = &'a [u8]>, work: &Work<C>, buffer: Vec<u8>) -> Encoded {
        let mut encoded = Encoded { output: buffer, conversions: 0, sends: Vec::new() };
        let Some((block, mut slice)) = self.decoded else {
            pack_no_sends(&mut encoded.sends);
            return encoded;
        };
        let mut decided = Decided::default();
        for (partition, bytes) in decisions.enumerate() {
            slice.unpack_decided(partition, bytes, &mut decided);
        }
        let mut sends = work.ledger.map(sends_of_block);
        if let Some(sends) = &mut sends {
            sends.grant(&block, &mut slice, iter::once(decided.claims.as_slice()));
        }
        slice.output = encoded.output;
        slice.encode(&block, iter::once(decided.decisions.as_slice()), &work.encoder, sends.as_ref());
        encoded.output = std::mem::take(&mut slice.output);
        encoded.conversions = slice.counts.conversions();
        pack_sends(&slice, &mut encoded.sends);
        let Spare { slices, buffers, reader } = &*self.spare;
        slice.shrink(spare_bytes(*reader));
        slices.borrow_mut().push(slice);
        buffers.recycle(block, *reader);
        encoded
    }
}
