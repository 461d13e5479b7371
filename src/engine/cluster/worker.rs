//! One worker: the dataflow, and the loop that brings blocks into it.
//!
//! ```text
//! blocks -> decode at the owner -> events -> apply at the partition -> decisions -> encode at the owner -> part file
//!                   reasons, ledger rows -> the first worker;  lengths -> all workers, if they write to one file
//! ```
//!
//! Each worker has one partition. All messages about a block have its epoch as their time. A partition applies a block,
//! and its owner encodes it, once no more messages for this or an earlier epoch can arrive. Every block sends a message
//! to every partition, so all partitions count the same blocks.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::operators::{Input, Operator, Probe};
use timely::worker::Worker;

use super::decode::{Decoding, Encoded, Pending};
use super::event::Event;
use super::message::{Kind, Message, ToNamedWorker};
use super::part::{PartWriter, WorkerReport};
use super::source::{Epoch, Next, Source, SourceBlock, first_epoch, position};
use super::{ClusterError, Portable, Work};
use crate::campaign::EmailHasher;
use crate::engine::slice::packet::{ReceivedEvents, pack_decided};
use crate::engine::wire::Reader;
use crate::engine::{Decided, ReplayError};
use crate::input::Buffers;
use crate::record::SourceKind;
use crate::system::panic_point;

/// What all workers of a process share.
pub struct Job<C> {
    pub work: Work<C>,
    /// The key of the hash that assigns emails to partitions. It is the same in all processes.
    pub hash_seed: u64,
    /// To the thread that watches this process.
    pub events: SyncSender<Event>,
    /// Grows while the workers of this process see that blocks of any worker are completed.
    pub progress: Arc<AtomicU64>,
}

impl<C> Job<C> {
    fn is_list(&self, epoch: Epoch) -> bool {
        self.work.plans[position(epoch).0].label.source == SourceKind::Loyalty
    }

    fn send(&self, event: Event) {
        // The receiver has ended if the run has failed.
        let _ = self.events.send(event);
    }
}

/// The number of own blocks of a worker that may be in the dataflow. timely does not limit its queues, so this limits
/// the memory.
const BLOCKS_IN_FLIGHT: usize = 3;

/// How long an idle worker sleeps. It is woken by messages and by its reader.
const IDLE: Duration = Duration::from_millis(20);

/// Runs the dataflow until the end of the inputs.
pub fn run<C: Portable>(
    worker: &mut Worker,
    job: &Arc<Job<C>>,
    part: PartWriter,
) -> Result<WorkerReport, ClusterError> {
    let (index, peers) = (worker.index(), worker.peers());
    let (plans, buffers) = (&job.work.plans, Arc::<Buffers>::default());
    let source = Source::start(plans, job.work.settings.reader, (index, peers), Arc::clone(&buffers))
        .map_err(ReplayError::Threads)?;
    let partition = Rc::new(RefCell::new(Partition::new(Arc::clone(job), index)));
    let (read, owned, error) = Default::default();
    let owner = Rc::new(Owner { job: Arc::clone(job), index, peers, read, owned, part: RefCell::new(part), error });
    let (mut input, probe) = worker.dataflow::<Epoch, _, _>(|scope| {
        let (input, blocks) = scope.new_input_with_builder::<NoopBuilder<Message>>();
        let mut decoding = Decoding::new(Arc::clone(job), index, peers, buffers);
        let of_decode = Rc::clone(&owner);
        let events = blocks.unary::<NoopBuilder<Message>, _, _, _>(to_named_worker(), "decode", |_, _| {
            move |input, output| {
                input.for_each(|time, message| {
                    let time = time.retain_least(output.output_index()).expect("a message has one time");
                    let plans = &decoding.job.work.plans;
                    let own = of_decode.read.borrow_mut().remove(time.time());
                    let block = own.unwrap_or_else(|| SourceBlock::of_bytes(message.bytes(), plans));
                    let (pending, messages) = decoding.decode(block);
                    let earlier = of_decode.owned.borrow_mut().insert(*time.time(), pending);
                    assert!(earlier.is_none(), "each block arrives once");
                    let mut session = output.session_with_builder(&time);
                    messages.into_iter().for_each(|mut message| session.give_container(&mut message));
                });
            }
        });
        let of_apply = Rc::clone(&partition);
        let decisions = in_order(events, "apply", move |epoch, messages| of_apply.borrow_mut().apply(epoch, messages));
        let of_encode = Rc::clone(&owner);
        let encoded = in_order(decisions, "encode", move |epoch, messages| of_encode.encode(epoch, messages));
        let of_write = Rc::clone(&owner);
        let written = in_order(encoded, "write", move |_, messages| of_write.write_in_place(messages));
        (input, written.probe().0)
    });

    let (mut in_flight, mut earliest) = (VecDeque::new(), None);
    if let Some(first) = first_epoch(plans, index, peers) {
        input.advance_to(first);
    }
    let mut input = Some(input);
    while input.is_some() || !probe.done() {
        let mut is_idle = true;
        // The blocks of a file that cannot be cut are those of all workers.
        let deals = in_flight.back().is_some_and(|epoch| plans[position(*epoch).0].segments().is_none());
        let max = BLOCKS_IN_FLIGHT * if deals { peers } else { 1 };
        if let Some(handle) = input.as_mut().filter(|_| in_flight.len() < max) {
            match source.next() {
                Next::Item(item) => {
                    is_idle = false;
                    handle.advance_to(item.epoch);
                    in_flight.push_back(item.epoch);
                    let mut body = Vec::new();
                    if item.owner == index {
                        owner.read.borrow_mut().insert(item.epoch, item.block);
                    } else {
                        body = item.block.to_bytes();
                    }
                    handle.send_batch(&mut Message::new(index, item.owner, Kind::Block, body));
                    handle.advance_to(item.next.unwrap_or(Epoch::MAX));
                }
                // Dropping the handle is the end of the input.
                Next::End => drop(input.take()),
                Next::NotYet => {}
            }
        }
        if is_idle {
            worker.step_or_park(Some(IDLE));
        } else {
            worker.step();
        }
        if let Some(error) = owner.error.take() {
            return Err(ClusterError::Part(error));
        }
        while in_flight.front().is_some_and(|epoch| !probe.less_equal(epoch)) {
            in_flight.pop_front();
        }
        // A worker without blocks of its own also sees progress.
        let now = probe.with_frontier(|frontier| frontier.first().copied());
        if now != earliest {
            earliest = now;
            job.progress.fetch_add(1, Ordering::Relaxed);
        }
    }
    // The operators of the dataflow are dropped with it, and only these references remain.
    while worker.has_dataflows() {
        worker.step();
    }
    let owner = Rc::into_inner(owner).expect("the dataflow has ended");
    assert!(owner.owned.borrow().is_empty(), "every block was written");
    let partition = Rc::into_inner(partition).expect("the dataflow has ended").into_inner();
    let part = owner.part.into_inner().finish().map_err(ClusterError::Part)?;
    Ok(WorkerReport { part, state: job.work.computation.export(&partition.state) })
}

fn to_named_worker() -> DistributorPact<fn(usize) -> ToNamedWorker> {
    DistributorPact(|_| ToNamedWorker)
}

/// An operator that processes the messages of an epoch when no more of this or an earlier epoch can arrive, and sends
/// what `process` returns.
fn in_order<'scope>(
    messages: Stream<'scope, Epoch, Message>,
    name: &str,
    mut process: impl FnMut(Epoch, Vec<Message>) -> Vec<Message> + 'static,
) -> Stream<'scope, Epoch, Message> {
    messages.unary_frontier::<NoopBuilder<Message>, _, _, _>(to_named_worker(), name, |_, _| {
        let mut waiting = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each(|time, message| {
                let time = time.retain_least(output.output_index()).expect("a message has one time");
                waiting.entry(*time.time()).or_insert_with(|| (time, Vec::new())).1.push(std::mem::take(message));
            });
            while let Some(first) = waiting.first_entry().filter(|first| !frontier.less_equal(first.key())) {
                let (epoch, (time, messages)) = first.remove_entry();
                let mut session = output.session_with_builder(&time);
                process(epoch, messages).iter_mut().for_each(|message| session.give_container(message));
            }
        }
    })
}

/// The partition of a worker.
struct Partition<C: Portable> {
    job: Arc<Job<C>>,
    index: usize,
    hasher: EmailHasher,
    state: C::State,
    received: ReceivedEvents,
    /// The number of blocks so far.
    blocks: u64,
    is_loading_list: bool,
}

/// The bits of an event's number for its line in its block. The others are for the number of the block.
const LINE_BITS: u32 = 30;

impl<C: Portable> Partition<C> {
    fn new(job: Arc<Job<C>>, index: usize) -> Self {
        let Work { computation, plans, .. } = &job.work;
        let hasher = computation.hasher();
        let state = computation.new_state(&hasher);
        let is_loading_list = plans.iter().any(|plan| plan.label.source == SourceKind::Loyalty);
        Self { job, index, hasher, state, received: ReceivedEvents::default(), blocks: 0, is_loading_list }
    }

    /// Applies the events of a block. Returns their decisions, the number of members if the list is loaded now, and the
    /// digest of the block, which the next operator of the first worker needs.
    fn apply(&mut self, epoch: Epoch, mut messages: Vec<Message>) -> Vec<Message> {
        panic_point("apply");
        let computation = &self.job.work.computation;
        let events = messages.iter().position(|message| message.kind == Kind::Events);
        let events = messages.swap_remove(events.expect("every block sends events to every partition"));
        if !self.job.is_list(epoch) && std::mem::take(&mut self.is_loading_list) {
            let count = computation.members(std::slice::from_ref(&self.state)).unwrap_or(0);
            messages.push(Message::number(self.index, 0, Kind::Members, count));
        }
        let first_line = self.blocks << LINE_BITS;
        self.blocks += 1;
        let batch = self.received.unpack(events.bytes(), &self.hasher, first_line);
        let (count, mut decided, mut bytes) = (batch.hashes().count(), Decided::default(), Vec::new());
        computation.apply(&mut self.state, batch, &mut decided);
        pack_decided(&decided, count, &mut bytes);
        messages.push(Message::new(self.index, events.from, Kind::Decisions, bytes));
        messages
    }
}

/// The blocks that a worker owns, from decoding to writing. The first worker also passes on what the first process needs
/// of all blocks.
struct Owner<C> {
    job: Arc<Job<C>>,
    index: usize,
    peers: usize,
    /// The blocks that the worker has read and not decoded.
    read: RefCell<BTreeMap<Epoch, SourceBlock>>,
    /// The blocks that wait for their decisions.
    owned: RefCell<BTreeMap<Epoch, Pending>>,
    part: RefCell<PartWriter>,
    error: RefCell<Option<io::Error>>,
}

impl<C: Portable> Owner<C> {
    /// Encodes a block of which all decisions have arrived, and passes digests and numbers of members to the sequencer.
    /// Returns the reasons and the ledger rows of the block if the campaign has a policy, and the length of its output if
    /// all workers write to one file.
    fn encode(&self, epoch: Epoch, messages: Vec<Message>) -> Vec<Message> {
        let of_kind = |kind| messages.iter().filter(move |message| message.kind == kind);
        for members in of_kind(Kind::Members) {
            self.job.send(Event::Members(Reader::new(members.bytes()).number()));
        }
        for digest in of_kind(Kind::Digest) {
            assert_eq!(self.index, 0, "digests are sent to the first worker");
            self.job.send(Event::Digest(epoch, digest.bytes().to_vec()));
        }
        let mut decisions: Vec<&Message> = of_kind(Kind::Decisions).collect();
        if decisions.is_empty() {
            return Vec::new();
        }
        assert_eq!(decisions.len(), self.peers, "every partition answers every block");
        decisions.sort_by_key(|message| message.from);
        let pending = self.owned.borrow_mut().remove(&epoch).expect("the block waits for its decisions");
        let bodies = decisions.iter().map(|message| message.bytes());
        let mut part = self.part.borrow_mut();
        let Encoded { output, conversions, sends } = pending.encode(bodies, &self.job.work, part.buffer());
        let mut messages = Vec::new();
        if self.job.work.encoder.with_policy {
            messages.push(Message::new(self.index, 0, Kind::Sends, sends));
        }
        if !self.job.is_list(epoch) {
            if part.is_shared() {
                let length = |to| Message::number(self.index, to, Kind::Length, output.len() as u64);
                messages.extend((0..self.peers).map(length));
            }
            self.unless_failed(|| part.write(output, conversions, position(epoch).2 == 0));
        }
        messages
    }

    /// Places an encoded block in the file that all workers share, and passes its reasons and ledger rows to the first
    /// process.
    fn write_in_place(&self, messages: Vec<Message>) -> Vec<Message> {
        for message in messages {
            if message.kind == Kind::Sends {
                self.job.send(Event::Sends(message.bytes().to_vec()));
            } else {
                let length = Reader::new(message.bytes()).number();
                self.unless_failed(|| self.part.borrow_mut().place(length, message.from == self.index));
            }
        }
        Vec::new()
    }

    /// After a failure nothing more is written, and the worker ends.
    fn unless_failed(&self, write: impl FnOnce() -> io::Result<()>) {
        let mut error = self.error.borrow_mut();
        if error.is_none() {
            *error = write().err();
        }
    }
}
