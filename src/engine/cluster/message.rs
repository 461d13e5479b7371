//! The messages between workers: a container of timely for each, which is sent to the worker that it names.
//!
//! A container is one message and not a list of records: the body is a few thousand events, so it is copied once and
//! never encoded event by event.

use std::io::Write;

use timely::Accountable;
use timely::bytes::arc::{Bytes, BytesMut};
use timely::communication::Push;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message as Envelope};
use timely::progress::Stamp;

use crate::engine::wire::push_number;

/// What a message contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Nothing: the message was sent.
    #[default]
    Nothing,
    /// A block, for the worker that decodes and encodes it; empty if that worker has read it.
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
#[derive(Clone)]
pub struct Message {
    pub to: usize,
    pub from: usize,
    pub kind: Kind,
    /// It is not copied when it is received.
    body: Bytes,
}

impl Default for Message {
    fn default() -> Self {
        Self::new(0, 0, Kind::Nothing, Vec::new())
    }
}

impl Message {
    pub fn new(from: usize, to: usize, kind: Kind, body: Vec<u8>) -> Self {
        Self { to, from, kind, body: BytesMut::from(body).freeze() }
    }

    pub fn number(from: usize, to: usize, kind: Kind, number: u64) -> Self {
        let mut body = Vec::new();
        push_number(number, &mut body);
        Self::new(from, to, kind, body)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.body
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
        let body = bytes.extract_to(len as usize);
        Self { to: to as usize, from: from as usize, kind: KINDS[kind as usize], body }
    }

    fn length_in_bytes(&self) -> usize {
        // timely keeps its own headers aligned.
        (HEADER_BYTES + self.body.len()).next_multiple_of(8)
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let kind = KINDS.iter().position(|kind| *kind == self.kind).expect("all kinds are listed");
        let len = self.body.len();
        let padding = self.length_in_bytes() - HEADER_BYTES - len;
        let mut write = |bytes: &[u8]| writer.write_all(bytes).expect("the buffer has room for the announced length");
        for number in [self.to, self.from, kind, len] {
            write(&(number as u64).to_le_bytes());
        }
        write(&self.body);
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
