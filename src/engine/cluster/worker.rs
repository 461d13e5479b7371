//! One worker: the dataflow, and the loop that brings blocks into it.
//!
//! ```text
//! blocks -> decode at the owner -> events -> apply at the partition -> decisions -> encode at the owner -> part file
//!                                                                       reasons, ledger rows -> the first worker
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
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::operators::{Capability, Input, Operator, Probe};
use timely::worker::Worker;

use super::Portable;
use super::decode::{Decoding, Encoded, Pending};
use super::event::Event;
use super::message::{Kind, Message, ToNamedWorker};
use super::part::{PartWriter, WorkerReport};
use super::source::{Epoch, Next, Source, SourceBlock, first_epoch, position};
use crate::campaign::EmailHasher;
use crate::campaign::Policy;
use crate::engine::slice::packet::{ReceivedEvents, pack_decided};
use crate::engine::wire::{Reader, push_number};
use crate::engine::{Decided, Settings};
use crate::input::{Buffers, InputPlan};
use crate::output::DecisionEncoder;
use crate::record::SourceKind;
use crate::system::panic_point;

/// What all workers of a process share.
pub struct Job<C> {
    pub computation: C,
    pub settings: Settings,
    pub plans: Arc<[InputPlan]>,
    pub encoder: DecisionEncoder,
    pub ledger: Option<&'static Policy>,
    /// The key of the hash that assigns emails to partitions. It is the same in all processes.
    pub hash_seed: u64,
    /// To the thread that watches this process.
    pub events: SyncSender<Event>,
    /// The number of epochs that were completed.
    pub progress: Arc<AtomicU64>,
}

/// The number of own blocks of a worker that may be in the dataflow. timely does not limit its queues, so this limits
/// the memory.
const BLOCKS_IN_FLIGHT: usize = 3;

/// How long an idle worker sleeps. It is woken by messages and by its reader.
const IDLE: Duration = Duration::from_millis(20);

/// The messages of an epoch, and the capability to answer them.
type Stash = BTreeMap<Epoch, (Capability<Epoch>, Vec<Message>)>;

/// The blocks that the worker owns and that wait for their decisions.
type Owned = Rc<RefCell<BTreeMap<Epoch, Pending>>>;

/// Runs the dataflow until the end of the inputs.
pub fn run<C: Portable>(worker: &mut Worker, job: &Arc<Job<C>>, part: PartWriter) -> io::Result<WorkerReport> {
    let (index, peers) = (worker.index(), worker.peers());
    let buffers = Arc::<Buffers>::default();
    let mut source = Source::start(&job.plans, job.settings.reader, (index, peers), Arc::clone(&buffers))?;
    let owned = Owned::default();
    let partition = Rc::new(RefCell::new(Partition::new(Arc::clone(job), index)));
    let encoding = Rc::new(RefCell::new(Encoding {
        job: Arc::clone(job),
        index,
        peers,
        owned: Rc::clone(&owned),
        digests: BTreeMap::new(),
        part,
        error: None,
    }));
    let (mut input, probe) = worker.dataflow::<Epoch, _, _>(|scope| {
        let (input, blocks) = scope.new_input_with_builder::<NoopBuilder<Message>>();
        let mut decoding = Decoding::new(Arc::clone(job), index, peers, buffers);
        let events = blocks.unary::<NoopBuilder<Message>, _, _, _>(to_named_worker(), "decode", |_, _| {
            move |input, output| {
                input.for_each(|time, message| {
                    let time = time.retain_least(output.output_index()).expect("a message has one time");
                    let plans = &decoding.job.plans;
                    let block = message.take_block().unwrap_or_else(|| SourceBlock::of_bytes(message.bytes(), plans));
                    let (pending, messages) = decoding.decode(block);
                    let earlier = owned.borrow_mut().insert(*time.time(), pending);
                    assert!(earlier.is_none(), "each block arrives once");
                    let mut session = output.session_with_builder(&time);
                    messages.into_iter().for_each(|mut message| session.give_container(&mut message));
                });
            }
        });
        let (partition, mut stash) = (Rc::clone(&partition), Stash::new());
        let digests = Rc::clone(&encoding);
        let decisions = events.unary_frontier::<NoopBuilder<Message>, _, _, _>(to_named_worker(), "apply", |_, _| {
            move |(input, frontier), output| {
                input.for_each(|time, message| {
                    let time = time.retain_least(output.output_index()).expect("a message has one time");
                    stash_message(&mut stash, time, std::mem::take(message));
                });
                while let Some((time, messages)) = pop_complete(&mut stash, |epoch| !frontier.less_equal(epoch)) {
                    let mut session = output.session_with_builder(&time);
                    for message in messages {
                        if message.kind == Kind::Digest {
                            digests.borrow_mut().digests.insert(*time.time(), message);
                        } else {
                            let answers = partition.borrow_mut().apply(*time.time(), &message);
                            answers.into_iter().flatten().for_each(|mut answer| session.give_container(&mut answer));
                        }
                    }
                }
            }
        });
        let gathering = Rc::clone(&encoding);
        let (encoding, mut stash) = (Rc::clone(&encoding), Stash::new());
        let encoded = decisions.unary_frontier::<NoopBuilder<Message>, _, _, _>(to_named_worker(), "encode", |_, _| {
            move |(input, frontier), output| {
                input.for_each(|time, message| {
                    let time = time.retain_least(output.output_index()).expect("a message has one time");
                    stash_message(&mut stash, time, std::mem::take(message));
                });
                let mut encoding = encoding.borrow_mut();
                let is_complete = |epoch: &Epoch| !frontier.less_equal(epoch);
                while let Some((time, messages)) = pop_complete(&mut stash, is_complete) {
                    encoding.send_digests(|epoch| epoch < time.time());
                    if let Some(mut sends) = encoding.finish(*time.time(), &messages) {
                        output.session_with_builder(&time).give_container(&mut sends);
                    }
                }
                encoding.send_digests(is_complete);
            }
        });
        let mut stash = Stash::new();
        let gathered = encoded.unary_frontier::<NoopBuilder<Message>, _, _, _>(to_named_worker(), "gather", |_, _| {
            move |(input, frontier), output| {
                input.for_each(|time, message| {
                    let time = time.retain_least(output.output_index()).expect("a message has one time");
                    stash_message(&mut stash, time, std::mem::take(message));
                });
                while let Some((_, messages)) = pop_complete(&mut stash, |epoch| !frontier.less_equal(epoch)) {
                    assert_eq!(messages.len(), 1, "the owner of a block sends one message");
                    gathering.borrow().send(Event::Sends(messages[0].bytes().to_vec()));
                }
            }
        });
        (input, gathered.probe().0)
    });

    let mut in_flight = VecDeque::new();
    if let Some(first) = first_epoch(&job.plans, index, peers) {
        input.advance_to(first);
    }
    let mut input = Some(input);
    while input.is_some() || !probe.done() {
        let mut is_idle = true;
        // The blocks of a file that cannot be cut are those of all workers.
        let deals = in_flight.back().is_some_and(|epoch| job.plans[position(*epoch).0].segments().is_none());
        let max = BLOCKS_IN_FLIGHT * if deals { peers } else { 1 };
        if let Some(handle) = input.as_mut().filter(|_| in_flight.len() < max) {
            match source.next() {
                Next::Item(item) => {
                    is_idle = false;
                    handle.advance_to(item.epoch);
                    in_flight.push_back(item.epoch);
                    handle.send_batch(&mut Message::block(index, item.owner, item.block));
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
        if let Some(error) = encoding.borrow_mut().error.take() {
            return Err(error);
        }
        while in_flight.front().is_some_and(|epoch| !probe.less_equal(epoch)) {
            in_flight.pop_front();
            job.progress.fetch_add(1, Ordering::Relaxed);
        }
    }
    // The operators of the dataflow are dropped with it, and only these references remain.
    while worker.has_dataflows() {
        worker.step();
    }
    let encoding = Rc::into_inner(encoding).expect("the dataflow has ended").into_inner();
    assert!(encoding.owned.borrow().is_empty() && encoding.digests.is_empty(), "every block was written");
    let partition = Rc::into_inner(partition).expect("the dataflow has ended").into_inner();
    let part = encoding.part.finish()?;
    Ok(WorkerReport { part, state: job.computation.export(&partition.state) })
}

fn to_named_worker() -> DistributorPact<fn(usize) -> ToNamedWorker> {
    DistributorPact(|_| ToNamedWorker)
}

fn stash_message(stash: &mut Stash, time: Capability<Epoch>, message: Message) {
    stash.entry(*time.time()).or_insert_with(|| (time, Vec::new())).1.push(message);
}

/// Removes the first epoch of the stash if it is complete.
fn pop_complete(stash: &mut Stash, is_complete: impl Fn(&Epoch) -> bool) -> Option<(Capability<Epoch>, Vec<Message>)> {
    stash.first_entry().filter(|first| is_complete(first.key())).map(|first| first.remove())
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
        let hasher = job.computation.hasher();
        let state = job.computation.new_state(&hasher);
        let is_loading_list = job.plans.iter().any(|plan| plan.label.source == SourceKind::Loyalty);
        Self { job, index, hasher, state, received: ReceivedEvents::default(), blocks: 0, is_loading_list }
    }

    /// Applies the events of a block. Returns their decisions, and the number of members if the list is loaded now.
    fn apply(&mut self, epoch: Epoch, message: &Message) -> [Option<Message>; 2] {
        panic_point("apply");
        let mut members = None;
        let is_list = self.job.plans[position(epoch).0].label.source == SourceKind::Loyalty;
        if !is_list && std::mem::take(&mut self.is_loading_list) {
            let count = self.job.computation.members(std::slice::from_ref(&self.state)).unwrap_or(0);
            let mut bytes = Vec::new();
            push_number(count, &mut bytes);
            members = Some(Message::new(self.index, 0, Kind::Members, bytes));
        }
        let first_line = self.blocks << LINE_BITS;
        self.blocks += 1;
        let events = self.received.unpack(message.bytes(), &self.hasher, first_line);
        let (count, mut decided, mut bytes) = (events.hashes().count(), Decided::default(), Vec::new());
        self.job.computation.apply(&mut self.state, events, &mut decided);
        pack_decided(&decided, count, &mut bytes);
        [members, Some(Message::new(self.index, message.from, Kind::Decisions, bytes))]
    }
}

/// The part file of a worker and what is written to it; at the first worker also the digests of all blocks.
struct Encoding<C> {
    job: Arc<Job<C>>,
    index: usize,
    peers: usize,
    owned: Owned,
    digests: BTreeMap<Epoch, Message>,
    part: PartWriter,
    error: Option<io::Error>,
}

impl<C: Portable> Encoding<C> {
    /// Encodes a block of which all decisions have arrived, and sends the numbers of members to the sequencer. Returns
    /// the reasons and the ledger rows of the block if the campaign has a policy.
    fn finish(&mut self, epoch: Epoch, messages: &[Message]) -> Option<Message> {
        for members in messages.iter().filter(|message| message.kind == Kind::Members) {
            let members = Reader::new(members.bytes()).number();
            self.send(Event::Members(members));
        }
        let mut decisions: Vec<&Message> = messages.iter().filter(|message| message.kind == Kind::Decisions).collect();
        if decisions.is_empty() {
            return None;
        }
        assert_eq!(decisions.len(), self.peers, "every partition answers every block");
        decisions.sort_by_key(|message| message.from);
        let pending = self.owned.borrow_mut().remove(&epoch).expect("the block waits for its decisions");
        let bodies = decisions.iter().map(|message| message.bytes());
        let Encoded { output, conversions, sends } = pending.encode(bodies, &self.job, self.part.buffer());
        let (input, _, block) = position(epoch);
        let is_list = self.job.plans[input].label.source == SourceKind::Loyalty;
        // After a failure nothing more is written, and the worker ends.
        if !is_list && self.error.is_none() {
            self.error = self.part.write(output, conversions, block == 0).err();
        }
        self.job.encoder.with_policy.then(|| Message::new(self.index, 0, Kind::Sends, sends))
    }

    /// Sends the digests of these epochs to the sequencer, in order.
    fn send_digests(&mut self, is_complete: impl Fn(&Epoch) -> bool) {
        while let Some(first) = self.digests.first_entry().filter(|first| is_complete(first.key())) {
            let (epoch, message) = first.remove_entry();
            assert_eq!(self.index, 0, "digests are sent to the first worker");
            self.send(Event::Digest(epoch, message.bytes().to_vec()));
        }
    }

    fn send(&self, event: Event) {
        // The receiver has ended if the run has failed.
        let _ = self.job.events.send(event);
    }
}
