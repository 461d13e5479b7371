//! The work of a block's owner: decoding the block, and encoding it with the decisions of the partitions.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::Portable;
use super::message::{Kind, Message};
use super::source::SourceBlock;
use super::worker::Job;
use crate::campaign::{EmailHash, EmailHasher, Partitioner};
use crate::engine::slice::packet::pack_nothing;
use crate::engine::slice::{DecodeContext, Slice};
use crate::engine::wire::{push_number, push_optional};
use crate::engine::{Computation, Decided, EventBatch, Settings};
use crate::input::{Block, Buffers, Content, ReaderSettings};
use crate::output::DecisionEncoder;
use crate::record::{Decoder, RecordKind};

/// A hash that is the same on all machines.
pub fn portable_hash(secrets: &RapidSecrets, bytes: &[u8]) -> u64 {
    rapidhash_v3_seeded(bytes, secrets)
}

/// A computation whose emails are assigned to partitions by the portable hash.
struct Routed<'a, C> {
    computation: &'a C,
    secrets: &'a RapidSecrets,
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
        EmailHash(portable_hash(self.secrets, email))
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
            hasher: EmailHasher::default(),
            partitions: partitions.expect("there are 1 to 2^32 workers"),
        };
        let secrets = RapidSecrets::seed(job.hash_seed);
        let spare = Rc::new(Spare { slices: RefCell::default(), buffers, reader: job.settings.reader });
        Self { job, index, peers, secrets, partitioner, spare }
    }

    /// Decodes a block. Returns the messages about it: the events for every partition, and the digest.
    pub fn decode(&mut self, block: SourceBlock) -> (Pending, Vec<Message>) {
        let mut digest = vec![u8::from(block.ends_segment) | u8::from(block.ends_input) << 1];
        let Settings { reader, max_rejects, .. } = self.job.settings;
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
                    let computation = &self.job.computation;
                    let context = DecodeContext {
                        decoder: Decoder { source: block.input.source, max_record_bytes: reader.max_record_bytes },
                        partitioner: &self.partitioner,
                        computation: &Routed { computation, secrets: &self.secrets },
                        keeps_fields: computation.needs_fields() || self.job.encoder.needs_fields(),
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

impl Pending {
    /// Encodes the block with the decisions of all partitions, in their order. Returns the output, in this buffer, and
    /// the number of conversions.
    pub fn encode<'a>(
        self,
        decisions: impl Iterator<Item = &'a [u8]>,
        encoder: &DecisionEncoder,
        buffer: Vec<u8>,
    ) -> (Vec<u8>, u64) {
        let Some((block, mut slice)) = self.decoded else { return (buffer, 0) };
        let mut decided = Vec::new();
        for (partition, bytes) in decisions.enumerate() {
            slice.unpack_decisions(partition, bytes, &mut decided);
        }
        slice.output = buffer;
        slice.encode(&block, std::iter::once(decided.as_slice()), encoder, None);
        let output = std::mem::take(&mut slice.output);
        let conversions = slice.counts.conversions();
        let Spare { slices, buffers, reader } = &*self.spare;
        slice.shrink(spare_bytes(*reader));
        slices.borrow_mut().push(slice);
        buffers.recycle(block, *reader);
        (output, conversions)
    }
}
