//! The engine: brings every record to its partition and every decision back into input order.
//!
//! ```text
//! blocks -> slices decoded in parallel -> partitions apply -> slices encoded in parallel -> writer
//! ```
//!
//! [`replay`] is handed a [`Computation`], which says what a partition does with its events, and does not know the
//! rule. Whatever the numbers of partitions, threads, slices or blocks, the bytes that come out are the same: one email
//! belongs to one partition, which applies its events in the order of their records, and decisions are written in that
//! order, too.
//!
//! | file | what is in it |
//! |---|---|
//! | `pipeline` | the loop: three blocks in flight, each one step behind the next |
//! | `batch` | one block on its way through the three steps, as tasks for the threads |
//! | `slice` | a run of records that one thread decodes and encodes |
//! | `partition` | which partition an email belongs to, and the events of a slice that go there |
//! | `sequencer` | what must happen in input order: numbering, counting, rejecting |

mod batch;
mod partition;
mod pipeline;
mod sequencer;
mod slice;

use std::io;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::AddAssign;

use thiserror::Error;

use crate::input::{InputError, ReaderSettings};
use crate::location::Location;
use crate::output::Rejection;
use crate::record::{ConversionKind, RecordKind};
use crate::system::os_error;

pub use partition::{Computation, DEFAULT_PARTITIONS, EventBatch, PREFETCH};
pub use pipeline::{DecisionOutput, Outcome, replay};

/// How a replay is executed. Only the limits affect what comes out.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The number of partitions that the customers are sharded into.
    pub partitions: NonZeroU32,
    /// The number of threads, beside the reader and the writer.
    pub threads: NonZeroUsize,
    /// How the inputs are read.
    pub reader: ReaderSettings,
    /// How many records may be rejected before one more ends the run; 0 stops at the first bad record.
    pub max_rejects: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            partitions: DEFAULT_PARTITIONS,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            reader: ReaderSettings::default(),
            max_rejects: 0,
        }
    }
}

/// What came in. Every record is counted once in `records` and once in `blanks`, `rejects` or the kind that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Bytes processed, after decompression, without the headers of tables and byte-order marks.
    pub bytes: u64,
    /// Lines, rows and frames.
    pub records: u64,
    /// Blank lines.
    pub blanks: u64,
    /// Bad records.
    pub rejects: u64,
    /// Loyalty rows.
    pub loyalty_rows: u64,
    /// Clicks.
    pub clicks: u64,
    /// Baskets.
    pub baskets: u64,
    /// Purchases.
    pub purchases: u64,
}

impl Counts {
    /// Conversions of all three types.
    pub const fn conversions(&self) -> u64 {
        self.clicks + self.baskets + self.purchases
    }

    /// Counts a good record of this kind.
    #[inline]
    const fn count(&mut self, kind: RecordKind) {
        match kind {
            RecordKind::LoyaltyRow => self.loyalty_rows += 1,
            RecordKind::Conversion(ConversionKind::Click) => self.clicks += 1,
            RecordKind::Conversion(ConversionKind::Basket) => self.baskets += 1,
            RecordKind::Conversion(ConversionKind::Purchase) => self.purchases += 1,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.records += other.records;
        self.blanks += other.blanks;
        self.rejects += other.rejects;
        self.loyalty_rows += other.loyalty_rows;
        self.clicks += other.clicks;
        self.baskets += other.baskets;
        self.purchases += other.purchases;
    }
}

/// Receives what happens during a replay, in input order.
pub trait Observer: Send {
    /// So much was processed.
    fn progressed(&mut self, counts: &Counts);

    /// A bad record was rejected.
    ///
    /// # Errors
    /// When it could not be kept; the run ends then.
    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()>;

    /// The next piece of the oversized record that was rejected last.
    ///
    /// # Errors
    /// When it could not be kept; the run ends then.
    fn rejected_more(&mut self, raw: &[u8]) -> io::Result<()>;

    /// An input is damaged, and the settings say to continue with the next one.
    ///
    /// # Errors
    /// When it could not be reported; the run ends then.
    fn damaged(&mut self, error: &InputError) -> io::Result<()>;
}

/// Why a replay did not reach the end.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// A record was bad, and no more may be rejected.
    #[error("{location}: {reason}")]
    BadRecord {
        /// Where it is.
        location: Location,
        /// What is wrong with it.
        reason: String,
    },
    /// An input is damaged.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A write failed.
    #[error("cannot write: {}", os_error(.0))]
    Output(#[source] io::Error),
    /// The observer failed.
    #[error("{}", os_error(.0))]
    Observer(#[source] io::Error),
    /// The system cannot start a thread.
    #[error("cannot start a thread: {} (lower --threads, or raise the limit on processes)", os_error(.0))]
    Threads(#[source] io::Error),
}
