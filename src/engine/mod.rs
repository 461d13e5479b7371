//! The engine: what brings every record to its partition and every answer back into input order.
//!
//! [`replay`] is the local one, on the threads of this process. It is handed a [`Computation`] and an [`Encoder`] and
//! knows nothing of the rule. Whatever the numbers of partitions, threads, slices or blocks, the bytes that
//! come out are the same: the events of one email go through one partition, in the order of their records, and the
//! answers are written in the order of the records.
//!
//! [`Computation`]: crate::computation::Computation
//! [`Encoder`]: crate::encoder::Encoder

mod batch;
mod counts;
mod ledger;
mod local;
mod slice;
mod tasks;

use std::io;
use std::num::{NonZeroU32, NonZeroUsize};

use thiserror::Error;

use crate::partition::DEFAULT_PARTITIONS;
use crate::sink::Rejection;
use crate::source::{Position, ReaderSettings, SourceError};

pub use counts::Counts;
pub use local::{Job, Outcome, replay};

/// How a replay is carried out. Only the limits can be seen in what comes out.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many partitions the customers are sharded into.
    pub partitions: NonZeroU32,
    /// How many threads work side by side, beside the reader and the writer.
    pub threads: NonZeroUsize,
    /// How the inputs are read.
    pub reader: ReaderSettings,
    /// How small the part of a block may be that is worth a thread's attention, in bytes.
    pub slice_bytes: usize,
    /// How many bad records are put aside before one ends the run; 0 stops at the first.
    pub max_rejects: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            partitions: NonZeroU32::new(DEFAULT_PARTITIONS).unwrap_or(NonZeroU32::MIN),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            reader: ReaderSettings::default(),
            slice_bytes: 32 << 10,
            max_rejects: 0,
        }
    }
}

/// Somebody who is told what happens during a replay, in input order.
pub trait Observer: Send {
    /// Something was read and worked off.
    fn advanced(&mut self, counts: &Counts);

    /// A bad record was put aside.
    ///
    /// # Errors
    /// When it could not be kept; the run ends then.
    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()>;

    /// The next piece of the oversized record that was put aside last.
    ///
    /// # Errors
    /// When it could not be kept; the run ends then.
    fn rejected_more(&mut self, raw: &[u8]) -> io::Result<()>;

    /// An input is damaged and the settings say to read on with the next one.
    ///
    /// # Errors
    /// When it could not be told; the run ends then.
    fn damaged(&mut self, error: &SourceError) -> io::Result<()>;
}

/// Why a replay did not reach the end.
#[derive(Debug, Error)]
pub enum Failure {
    /// A record was bad, and no more bad ones were to be put aside.
    #[error("{position}: {reason}")]
    BadRecord {
        /// Where it stands.
        position: Position,
        /// What is wrong with it.
        reason: String,
    },
    /// An input is damaged.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A write failed.
    #[error("cannot write: {0}")]
    Output(io::Error),
    /// Whoever is told what happens could not take it.
    #[error("{0}")]
    Observer(io::Error),
    /// The system gives no threads.
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
}
