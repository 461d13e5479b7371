//! The engine on several processes, on one machine or many, with timely dataflow.
//!
//! The decisions are the same bytes as those of the local pipeline: the processes decode the same blocks, apply them in
//! the same order, and share the sequencer, the slices, the encoder and the computation with it.
//!
//! | file | content |
//! |---|---|
//! | `connect`, `greeting` | connecting the processes, and checking that they have the same version, options and inputs |
//! | `event` | the messages to the thread that watches a process |
//! | `error` | why a run fails |
//! | `control` | the control connections: signs of life, failures, the commit |
//! | `source` | the blocks that a worker reads |
//! | `worker` | the dataflow of a worker, its loop, its partition |
//! | `decode` | decoding a block and encoding its decisions |
//! | `message` | the messages between workers |
//! | `sends` | the reasons and the ledger rows of a block |
//! | `sequence` | the work in input order, at the first process |
//! | `part`, `manifest` | the parts of the workers, and the manifest that proves them complete |
//!
//! timely runs the dataflow and moves the messages. The rest is here: it panics when a process is lost, so its panics
//! are caught, and the control connections say what happened.

mod connect;
mod control;
mod decode;
mod error;
mod event;
mod greeting;
mod manifest;
mod message;
mod part;
mod sends;
mod sequence;
mod source;
mod worker;

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use timely::communication::Hooks;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};

use super::{Computation, Observer, Outcome, ReplayError, Settings};
use crate::campaign::Policy;
use crate::input::InputPlan;
use crate::output::DecisionEncoder;
use crate::system::os_error;
use control::Link;
use error::{is_lost_peer, silence_lost_peers};
use event::{Control, Event};
use greeting::Agreement;
use part::WorkerReport;
use sends::GatheredSends;
use sequence::Digests;
use worker::Job;

pub use connect::{Membership, process_name};
pub use error::ClusterError;
pub use manifest::{MANIFEST, Manifest, ManifestInput, MergeError};
pub use part::{Destination, PartReport, PartWriter, checksum, fingerprint};

/// A computation whose states can be sent to another process.
pub trait Portable: Computation + Clone + Send + 'static {
    /// The state as bytes, for the first process, which writes the results.
    fn export(&self, state: &Self::State) -> Vec<u8>;

    /// The state that [`Self::export`] wrote. It is complete for the results, and no events are applied to it.
    fn import(&self, bytes: &[u8]) -> Self::State;
}

/// The work of a run: how to decide, and what to read.
pub struct Work<C> {
    /// The computation.
    pub computation: C,
    /// The settings of the replay. The number of threads is the number of workers of each process.
    pub settings: Settings,
    /// The inputs.
    pub plans: Arc<[InputPlan]>,
    /// The encoder of the decisions.
    pub encoder: DecisionEncoder,
    /// The ledger, if there is one.
    pub ledger: Option<&'static Policy>,
}

/// A connected process.
pub struct Cluster {
    process: usize,
    addresses: Vec<String>,
    links: Vec<Option<Link>>,
    data: Vec<Option<std::net::TcpStream>>,
    events: Receiver<Event>,
    to_events: SyncSender<Event>,
    agreement: Agreement,
    stall_timeout: Duration,
    progress: Arc<AtomicU64>,
    /// The progress that was seen last, and when. `None` while no block is expected.
    seen: Option<(u64, Instant)>,
    /// When a worker lost another process. The reason should follow.
    lost: Option<Instant>,
}

/// The result of all processes, at the first one.
pub struct Gathered<S> {
    /// The outcome, as of the local engine. The states are those of all workers, in order.
    pub outcome: Outcome<S>,
    /// The parts of all workers, in order.
    pub parts: Vec<PartReport>,
    /// The number of segments of each input.
    pub segments: Vec<u64>,
}

/// The number of events that wait for the thread that watches the process.
const QUEUED_EVENTS: usize = 16;

/// How often the process checks that the others are alive.
const TICK: Duration = Duration::from_millis(100);

/// How long to wait for the others after the last message.
const END_WAIT: Duration = Duration::from_millis(500);

/// How long to wait for the reason after a connection of timely was lost.
const REASON_WAIT: Duration = Duration::from_millis(1500);

impl Cluster {
    /// Connects this process with the others.
    ///
    /// # Errors
    /// When a process does not come in time, or does not belong to the run.
    pub fn connect(membership: Membership, stall_timeout: Duration) -> Result<Self, ClusterError> {
        silence_lost_peers();
        let (process, addresses) = (membership.process, membership.addresses.clone());
        let connections = membership.connect()?;
        let (to_events, events) = sync_channel(QUEUED_EVENTS);
        let links =
            connections.control.into_iter().enumerate().map(|(process, stream)| {
                stream.map(|stream| Link::start(process, stream, to_events.clone())).transpose()
            });
        let links = links.collect::<io::Result<Vec<_>>>().map_err(|error| ClusterError::Network(os_error(&error)))?;
        Ok(Self {
            process,
            addresses,
            links,
            data: connections.data,
            events,
            to_events,
            agreement: connections.agreement,
            stall_timeout,
            progress: Arc::default(),
            seen: None,
            lost: None,
        })
    }

    /// A random number that identifies the run.
    pub const fn run(&self) -> u64 {
        self.agreement.run
    }

    /// The first process: replays, and gathers the results of all processes. New ledger rows are written to `rows`.
    ///
    /// # Errors
    /// When the replay fails, here or in another process.
    ///
    /// # Panics
    /// When a worker panics, which is a bug.
    pub fn replay<C: Portable>(
        &mut self,
        work: Work<C>,
        parts: Vec<PartWriter>,
        observer: &mut dyn Observer,
        rows: Option<Box<dyn io::Write + Send>>,
    ) -> Result<Gathered<C::State>, ClusterError> {
        let (computation, settings, plans) = (work.computation.clone(), work.settings, Arc::clone(&work.plans));
        let (processes, threads) = (self.links.len(), parts.len());
        let mut digests = Digests::new(plans, &settings, observer, GatheredSends::new(rows, work.encoder.with_policy));
        let mut reports = self.start(work, parts)?;
        let mut other_states = vec![Vec::new(); processes];
        let mut other_parts: Vec<Option<Vec<PartReport>>> = vec![None; processes];
        while reports.iter().any(Option::is_none) || other_parts[1..].iter().any(Option::is_none) {
            match self.next_event()? {
                Event::Digest(epoch, digest) => digests.process(epoch, &digest)?,
                Event::Sends(sends) => digests.sends.add(&sends)?,
                Event::Members(members) => digests.add_members(members),
                Event::Worker(worker, report) => {
                    reports[worker] = Some(report?);
                    // After the last one all blocks are completed, but large states may take long to arrive.
                    self.seen = self.seen.filter(|_| reports.iter().any(Option::is_none));
                }
                Event::State(process, state) => other_states[process].push(state),
                Event::Control(process, Control::Finished(parts)) => other_parts[process] = Some(parts),
                Event::Control(..) | Event::Lost(_) | Event::Panicked(_) => {}
            }
        }
        let (mut states, mut parts) = (Vec::new(), Vec::new());
        for WorkerReport { part, state } in reports.into_iter().flatten() {
            parts.push(part);
            states.push(computation.import(&state));
        }
        for (of_process, reported) in other_states.into_iter().zip(other_parts).skip(1) {
            assert_eq!(of_process.len(), threads, "a process sends the state of each worker");
            states.extend(of_process.iter().map(|state| computation.import(state)));
            parts.extend(reported.into_iter().flatten());
        }
        let (outcome, segments) = digests.finish(&computation, states)?;
        Ok(Gathered { outcome, parts, segments })
    }

    /// Another process: replays, sends its results to the first process, and waits for its order to commit.
    ///
    /// # Errors
    /// When the replay fails, here or in another process.
    ///
    /// # Panics
    /// When a worker panics, which is a bug.
    pub fn follow<C: Portable>(&mut self, work: Work<C>, parts: Vec<PartWriter>) -> Result<(), ClusterError> {
        let mut reports = self.start(work, parts)?;
        while reports.iter().any(Option::is_none) {
            if let Event::Worker(worker, report) = self.next_event()? {
                reports[worker] = Some(report?);
            }
        }
        self.seen = None;
        let reports: Vec<WorkerReport> = reports.into_iter().flatten().collect();
        for report in &reports {
            self.send_to_first(|first| first.send_state(&report.state))?;
        }
        let parts = reports.into_iter().map(|report| report.part).collect();
        self.send_to_first(|first| first.send(&Control::Finished(parts)))?;
        self.wait_for(|message| matches!(message, Control::Commit))
    }

    /// Another process: reports that its part files are renamed, and waits for the end of the run.
    ///
    /// # Errors
    /// When another process fails.
    pub fn committed(&mut self) -> Result<(), ClusterError> {
        self.send_to_first(|first| first.send(&Control::Committed))?;
        self.wait_for(|message| matches!(message, Control::Done))
    }

    /// The first process: makes the others rename their part files, and waits until they have.
    ///
    /// # Errors
    /// When another process fails.
    pub fn commit_others(&mut self) -> Result<(), ClusterError> {
        // A process that is lost is noticed when its connection ends.
        self.links.iter().flatten().for_each(|link| drop(link.send(&Control::Commit)));
        for _ in 1..self.links.len() {
            self.wait_for(|message| matches!(message, Control::Committed))?;
        }
        Ok(())
    }

    /// The first process: ends the others, because the result is complete.
    pub fn end(&self) {
        self.send_last(&Control::Done);
    }

    /// Sends the others the reason why this process or another one fails, so that they end too.
    pub fn fail(&self, cause: Option<&ClusterError>, message: &str) {
        let (process, message) = match cause {
            Some(ClusterError::Peer { process, message, .. }) => (*process, message.clone()),
            _ => (self.process, message.to_owned()),
        };
        self.send_last(&Control::Failed { process, message });
    }

    /// Sends the last message to the others, and waits until they have ended or sent their last message, but not for
    /// long. If this process ended at once, with bytes that it has not read, its message could be lost.
    fn send_last(&self, message: &Control) {
        // A process that is lost has ended.
        let sent = self.links.iter().flatten().filter(|link| link.send_last(message).is_ok()).count();
        let (mut ended, until) = (0, Instant::now() + END_WAIT);
        while ended < sent
            && let Ok(event) = self.events.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            ended += usize::from(matches!(event, Event::Lost(_)));
        }
    }

    fn send_to_first(&mut self, send: impl FnOnce(&Link) -> io::Result<()>) -> Result<(), ClusterError> {
        let first = self.links[0].as_ref().expect("the other processes are connected to the first one");
        if send(first).is_ok() {
            return Ok(());
        }
        // The reason may have arrived.
        self.wait_for(|_| false)
    }

    fn wait_for(&mut self, is_it: impl Fn(&Control) -> bool) -> Result<(), ClusterError> {
        loop {
            if let Event::Control(_, message) = self.next_event()?
                && is_it(&message)
            {
                return Ok(());
            }
        }
    }

    /// The next event. Fails if another process failed, is lost, or is not heard any more.
    fn next_event(&mut self) -> Result<Event, ClusterError> {
        loop {
            match self.events.recv_timeout(TICK) {
                Ok(Event::Control(_, Control::Failed { process, message })) => return Err(self.peer(process, message)),
                Ok(Event::Lost(process)) => {
                    self.links[process] = None;
                    let message = "the connection to it ended (was it killed?)";
                    return Err(self.peer(process, message.to_owned()));
                }
                Ok(Event::Panicked(payload)) => {
                    if !is_lost_peer(payload.as_ref()) {
                        self.fail(None, "internal error");
                        panic::resume_unwind(payload);
                    }
                    self.lost.get_or_insert_with(Instant::now);
                }
                Ok(event) => return Ok(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("this process has a sender"),
            }
            self.check_life()?;
        }
    }

    fn peer(&self, process: usize, message: String) -> ClusterError {
        ClusterError::Peer { process, name: process_name(process, &self.addresses), message }
    }

    /// Fails if a process is silent, or the dataflow does not advance.
    fn check_life(&mut self) -> Result<(), ClusterError> {
        if self.lost.is_some_and(|lost| lost.elapsed() > REASON_WAIT) {
            return Err(ClusterError::Network("the connection to another process ended".to_owned()));
        }
        let limit = self.stall_timeout;
        let silent = |link: &Option<Link>| link.as_ref().is_some_and(|link| link.silence() > limit);
        if let Some(process) = self.links.iter().position(silent) {
            return Err(ClusterError::Silent { name: process_name(process, &self.addresses), limit });
        }
        if let Some((progress, since)) = &mut self.seen {
            let now = self.progress.load(Ordering::Relaxed);
            if *progress != now {
                (*progress, *since) = (now, Instant::now());
            }
            // The first process can say who is silent, so it comes first.
            let wait = if self.process == 0 { limit } else { limit + Duration::from_secs(1) };
            if since.elapsed() > wait + TICK * 5 {
                return Err(ClusterError::Stalled { limit });
            }
        }
        Ok(())
    }

    /// Starts the workers. Returns an empty report for each.
    fn start<C: Portable>(
        &mut self,
        work: Work<C>,
        parts: Vec<PartWriter>,
    ) -> Result<Vec<Option<WorkerReport>>, ClusterError> {
        let (threads, progress, events) = (parts.len(), Arc::clone(&self.progress), self.to_events.clone());
        let job = Arc::new(Job { work, hash_seed: self.agreement.hash_seed, events, progress });
        let failed = |error: io::Error| ClusterError::Replay(ReplayError::Threads(error));
        let hooks = Hooks::default();
        let local = ProcessBuilder::new_typed_vector(threads, hooks.refill.clone(), hooks.spill.clone());
        let sockets = std::mem::take(&mut self.data);
        let (builders, connections) =
            initialize_networking_from_sockets(local, sockets, self.process, threads, hooks).map_err(failed)?;
        let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
        let parts: Vec<_> = parts.into_iter().map(|part| Mutex::new(Some(part))).collect();
        let run_worker = move |worker: &mut timely::worker::Worker| {
            let local = worker.index() % threads;
            let part = parts[local].lock().ok().and_then(|mut part| part.take()).expect("a worker has one part");
            let ran = panic::catch_unwind(AssertUnwindSafe(|| worker::run(worker, &job, part)));
            let has_failed = !matches!(ran, Ok(Ok(_)));
            let event = match ran {
                Ok(report) => Event::Worker(local, report),
                Err(payload) => Event::Panicked(payload),
            };
            // The receiver has ended if the run has failed.
            let _ = job.events.send(event);
            if has_failed {
                // Ending would look like the end of the input to the other processes. The process ends soon.
                loop {
                    thread::park();
                }
            }
        };
        let config = timely::WorkerConfig::default();
        let guards = timely::execute::execute_from(builders, Box::new(connections), config, run_worker);
        // They end with the process: joining them would wait for processes that are lost.
        std::mem::forget(guards.map_err(|error| failed(io::Error::other(error)))?);
        self.seen = Some((0, Instant::now()));
        Ok((0..threads).map(|_| None).collect())
    }
}
