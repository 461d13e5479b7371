//! The reader thread of a worker: the blocks that the worker brings into the dataflow, in order.
//!
//! An epoch is the position of a block: input, segment, block of the segment. The segments of a file that can be cut are
//! dealt to the workers in turn. A file that cannot be cut is read by the first worker, which deals its blocks.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Thread};

use crate::input::{Block, Buffers, InputPlan, ReaderSettings};
use crate::system::panic_point;

/// The position of a block: 32 bits for the input, 48 for the segment, 48 for the block of the segment.
pub type Epoch = u128;

pub const fn epoch(input: usize, segment: u64, block: u64) -> Epoch {
    (input as u128) << 96 | (segment as u128) << 48 | block as u128
}

/// The input, the segment and the block of the segment.
pub const fn position(epoch: Epoch) -> (usize, u64, u64) {
    const MASK: u128 = (1 << 48) - 1;
    ((epoch >> 96) as usize, (epoch >> 48 & MASK) as u64, (epoch & MASK) as u64)
}

/// The worker that decodes and encodes the blocks of a segment.
pub const fn owner(input: usize, segment: u64, peers: usize) -> usize {
    ((segment + input as u64) % peers as u64) as usize
}

/// A block, or why the input is damaged there.
#[derive(Debug)]
pub struct SourceBlock {
    pub content: Result<Block, String>,
    /// Whether it is the last block of its segment.
    pub ends_segment: bool,
    /// Whether it is the last block of its input.
    pub ends_input: bool,
}

impl SourceBlock {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![u8::from(self.ends_segment) | u8::from(self.ends_input) << 1];
        match &self.content {
            Ok(block) => out.extend_from_slice(&block.to_bytes()),
            Err(damage) => {
                out[0] |= 4;
                out.extend_from_slice(damage.as_bytes());
            }
        }
        out
    }

    pub fn of_bytes(bytes: &[u8], plans: &[InputPlan]) -> Self {
        let (flags, body) = (bytes[0], &bytes[1..]);
        let content = if flags & 4 == 0 {
            Ok(InputPlan::block_of_bytes(plans, body))
        } else {
            Err(String::from_utf8_lossy(body).into_owned())
        };
        Self { content, ends_segment: flags & 1 != 0, ends_input: flags & 2 != 0 }
    }
}

/// A block for the dataflow.
#[derive(Debug)]
pub struct SourceItem {
    pub epoch: Epoch,
    pub owner: usize,
    pub block: SourceBlock,
    /// No later item of this source has a lower epoch. `None` after the last one.
    pub next: Option<Epoch>,
}

/// The state of a source.
pub enum Next {
    Item(SourceItem),
    NotYet,
    End,
}

/// The blocks of one worker.
pub struct Source {
    items: Receiver<Option<SourceItem>>,
}

/// The number of blocks that wait for a worker.
const QUEUED_BLOCKS: usize = 2;

impl Source {
    /// Starts to read the blocks of a worker, which is the current thread. The thread is woken for each block.
    pub fn start(
        plans: &Arc<[InputPlan]>,
        settings: ReaderSettings,
        (worker, peers): (usize, usize),
        buffers: Arc<Buffers>,
    ) -> std::io::Result<Self> {
        let (to_worker, items) = sync_channel(QUEUED_BLOCKS);
        let (plans, wakes) = (Arc::clone(plans), thread::current());
        let share = Share { plans, settings, worker, peers, buffers, to_worker, wakes };
        thread::Builder::new().name("reader".to_owned()).spawn(move || share.read())?;
        Ok(Self { items })
    }

    /// The next block, if one is ready. Must not be called after the end.
    ///
    /// # Panics
    /// When the reader panicked. That must not look like the end.
    pub fn next(&self) -> Next {
        use std::sync::mpsc::TryRecvError::{Disconnected, Empty};
        match self.items.try_recv() {
            Ok(Some(item)) => Next::Item(item),
            Ok(None) => Next::End,
            Err(Empty) => Next::NotYet,
            Err(Disconnected) => panic!("the reader thread panicked"),
        }
    }
}

/// The inputs, and which part of them the source of a worker reads.
struct Share {
    plans: Arc<[InputPlan]>,
    settings: ReaderSettings,
    worker: usize,
    peers: usize,
    buffers: Arc<Buffers>,
    to_worker: SyncSender<Option<SourceItem>>,
    wakes: Thread,
}

/// The first epoch of a worker; `None` if it reads nothing.
pub fn first_epoch(plans: &[InputPlan], worker: usize, peers: usize) -> Option<Epoch> {
    epoch_from(plans, 0, worker, peers)
}

/// The first epoch of a worker in this input or a later one.
fn epoch_from(plans: &[InputPlan], input: usize, worker: usize, peers: usize) -> Option<Epoch> {
    (input..plans.len()).find_map(|input| match plans[input].segments() {
        Some(count) => {
            let first = first_segment(input, worker, peers);
            (first < count).then(|| epoch(input, first, 0))
        }
        None => (worker == 0).then(|| epoch(input, 0, 0)),
    })
}

/// The first segment of an input that a worker owns.
const fn first_segment(input: usize, worker: usize, peers: usize) -> u64 {
    ((worker + peers - input % peers) % peers) as u64
}

impl Share {
    /// Reads until the end, or until an input is damaged.
    fn read(self) {
        for (input, plan) in self.plans.iter().enumerate() {
            panic_point("read");
            let goes_on = match plan.segments() {
                Some(count) => self.read_segments(input, plan, count),
                None if self.worker == 0 => self.read_whole(input, plan),
                None => true,
            };
            if !goes_on {
                // The worker must not mistake this for the end. It waits until the run is ended because of the damage.
                loop {
                    thread::park();
                }
            }
        }
        self.send(None);
    }

    fn read_segments(&self, input: usize, plan: &InputPlan, count: u64) -> bool {
        let mut file = None;
        for segment in (first_segment(input, self.worker, self.peers)..count).step_by(self.peers) {
            let mut number = 0;
            let after = if segment + (self.peers as u64) < count {
                Some(epoch(input, segment + self.peers as u64, 0))
            } else {
                epoch_from(&self.plans, input + 1, self.worker, self.peers)
            };
            let mut sink = |block: Result<Block, String>, is_last: bool| {
                let at = epoch(input, segment, number);
                number += 1;
                self.emit(
                    at,
                    block,
                    is_last,
                    is_last && segment + 1 == count,
                    if is_last { after } else { Some(at + 1) },
                )
            };
            if !plan.read_segment(&mut file, segment, self.settings, &self.buffers, &mut sink) {
                return false;
            }
        }
        true
    }

    fn read_whole(&self, input: usize, plan: &InputPlan) -> bool {
        let (mut segment, mut goes_on) = (0, true);
        plan.read(self.settings, &self.buffers, &mut |block, is_last| {
            let at = epoch(input, segment, 0);
            segment += 1;
            let after = epoch_from(&self.plans, input + 1, self.worker, self.peers);
            let next = if is_last { after } else { Some(epoch(input, segment, 0)) };
            goes_on = self.emit(at, block, true, is_last, next);
            goes_on
        });
        goes_on
    }

    /// Sends a block. Returns false after damage.
    fn emit(
        &self,
        epoch: Epoch,
        content: Result<Block, String>,
        ends_segment: bool,
        ends_input: bool,
        next: Option<Epoch>,
    ) -> bool {
        let (input, segment, _) = position(epoch);
        let is_damaged = content.is_err();
        let block = SourceBlock { content, ends_segment, ends_input };
        let next = if is_damaged { Some(epoch + 1) } else { next };
        let owner = owner(input, segment, self.peers);
        self.send(Some(SourceItem { epoch, owner, block, next })) && !is_damaged
    }

    /// Returns false if the worker has ended.
    fn send(&self, item: Option<SourceItem>) -> bool {
        let sent = self.to_worker.send(item).is_ok();
        self.wakes.unpark();
        sent
    }
}
