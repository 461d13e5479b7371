//! The messages between workers: a container of timely for each, which is sent to the worker that it names.
//!
//! A container is one message and not a list of records: the body is a few thousand events, so it is copied once and
//! never encoded event by event.

use std::io::Write;
use std::sync::Arc;

use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::communication::Push;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message as Envelope};
use timely::progress::Stamp;

use super::source::SourceBlock;
use crate::engine::wire::push_number;

/// What a message contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Nothing: the message was taken.
    #[default]
    Nothing,
    /// A block, for the worker that decodes and encodes it.
    Block,
    /// The events of a block for one partition.
    Events,
    /// What the sequencer needs of a block.
    Digest,
    /// The decisions for these events.
    Decisions,
    /// The number of members of a partition when the list is loaded.
    Members,
    /// The reasons and the ledger rows of a block.
    Sends,
    /// The length of the output of a block.
    Length,
}

const KINDS: [Kind; 8] =
    [Kind::Nothing, Kind::Block, Kind::Events, Kind::Digest, Kind::Decisions, Kind::Members, Kind::Sends, Kind::Length];

/// A message.
#[derive(Clone, Default)]
pub struct Message {
    pub to: usize,
    pub from: usize,
    pub kind: Kind,
    body: Body,
}

#[derive(Clone)]
enum Body {
    Owned(Vec<u8>),
    /// Received from another process, and not copied.
    Received(Bytes),
    /// For a worker of this process.
    Block(Arc<SourceBlock>),
}

impl Default for Body {
    fn default() -> Self {
        Self::Owned(Vec::new())
    }
}

impl Message {
    pub const fn new(from: usize, to: usize, kind: Kind, body: Vec<u8>) -> Self {
        Self { to, from, kind, body: Body::Owned(body) }
    }

    pub fn number(from: usize, to: usize, kind: Kind, number: u64) -> Self {
        let mut body = Vec::new();
        push_number(number, &mut body);
        Self::new(from, to, kind, body)
    }

    pub fn block(from: usize, to: usize, block: SourceBlock) -> Self {
        Self { to, from, kind: Kind::Block, body: Body::Block(Arc::new(block)) }
    }

    /// The bytes of a message that is not a block of this process.
    pub fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Owned(bytes) => bytes,
            Body::Received(bytes) => bytes,
            Body::Block(_) => unreachable!("a block of this process is not read as bytes"),
        }
    }

    /// The block, if it comes from a worker of this process.
    pub fn take_block(&mut self) -> Option<SourceBlock> {
        let Body::Block(block) = &mut self.body else { return None };
        let block = std::mem::take(block);
        Some(Arc::into_inner(block).expect("a message has one receiver"))
    }
}

impl Accountable for Message {
    fn record_count(&self) -> i64 {
        i64::from(self.kind != Kind::Nothing)
    }
}

/// The sender, the receiver, the kind and the length of the body.
const HEADER_BYTES: usize = 4 * 8;

impl ContainerBytes for Message {
    fn from_bytes(mut bytes: Bytes) -> Self {
        let header = bytes.extract_to(HEADER_BYTES);
        let number = |at: usize| u64::from_le_bytes(header[at * 8..at * 8 + 8].try_into().expect("it has 8 bytes"));
        let (to, from, kind, len) = (number(0), number(1), number(2), number(3));
        let body = Body::Received(bytes.extract_to(len as usize));
        Self { to: to as usize, from: from as usize, kind: KINDS[kind as usize], body }
    }

    fn length_in_bytes(&self) -> usize {
        let body = match &self.body {
            Body::Block(block) => block.bytes_len(),
            Body::Owned(_) | Body::Received(_) => self.bytes().len(),
        };
        // timely keeps its own headers aligned.
        (HEADER_BYTES + body).next_multiple_of(8)
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let encoded;
        let body = match &self.body {
            Body::Block(block) => {
                encoded = block.to_bytes();
                &encoded
            }
            Body::Owned(_) | Body::Received(_) => self.bytes(),
        };
        let kind = KINDS.iter().position(|kind| *kind == self.kind).expect("all kinds are listed");
        let padding = (HEADER_BYTES + body.len()).next_multiple_of(8) - HEADER_BYTES - body.len();
        let mut write = |bytes: &[u8]| writer.write_all(bytes).expect("the buffer has room for the announced length");
        for number in [self.to, self.from, kind, body.len()] {
            write(&(number as u64).to_le_bytes());
        }
        write(body);
        write(&[0; 8][..padding]);
    }
}

/// Sends each message to the worker that it names.
pub struct ToNamedWorker;

impl Distributor<Message> for ToNamedWorker {
    fn partition<T: Clone, P: Push<Envelope<T, Message>>>(
        &mut self,
        message: &mut Message,
        stamp: &Stamp<T>,
        pushers: &mut [P],
    ) {
        let to = message.to;
        Envelope::push_at(message, stamp.clone(), &mut pushers[to]);
        *message = Message::default();
    }

    fn flush<T: Clone, P: Push<Envelope<T, Message>>>(&mut self, _stamp: &Stamp<T>, _pushers: &mut [P]) {}
}
