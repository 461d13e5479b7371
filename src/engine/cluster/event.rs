//! The messages to the thread that watches a process: from its workers, and from the other processes.

use std::any::Any;

use serde::{Deserialize, Serialize};

use super::ClusterError;
use super::part::{PartReport, WorkerReport};
use super::source::Epoch;

/// A message on a control connection.
#[derive(Debug, Serialize, Deserialize)]
pub enum Control {
    /// The process is alive.
    Alive,
    /// A process failed, and why. All processes end.
    Failed { process: usize, message: String },
    /// The process has finished its part of the run. Its states precede this message.
    Finished(Vec<PartReport>),
    /// All processes have finished; the part files may be renamed.
    Commit,
    /// The part files are renamed.
    Committed,
    /// The result is complete.
    Done,
}

/// What the threads of a process report to the thread that watches it.
#[derive(Debug)]
pub enum Event {
    /// The digest of the next block.
    Digest(Epoch, Vec<u8>),
    /// The reasons and the ledger rows of the next block.
    Sends(Vec<u8>),
    /// The members of one partition when the list is loaded.
    Members(u64),
    /// A worker has finished, or has failed.
    Worker(usize, Result<WorkerReport, ClusterError>),
    /// A worker has panicked with this payload.
    Panicked(Box<dyn Any + Send>),
    /// A message of another process.
    Control(usize, Control),
    /// The exported state of a partition of another process.
    State(usize, Vec<u8>),
    /// The connection to another process has ended.
    Lost(usize),
}
