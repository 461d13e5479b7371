//! The engine: routes every record to its partition, and writes the decisions in input order.
//!
//! ```text
//! blocks -> slices decoded in parallel -> partitions apply -> slices encoded in parallel -> writer
//! ```
//!
//! [`replay`] runs a [`Computation`], which defines what a partition does with its events. The engine does not depend
//! on the rule. The output is the same for any number of partitions, threads, slices and blocks: all records of one
//! email are in one partition, which applies them in order, and decisions are written in input order.
//!
//! | file | content |
//! |---|---|
//! | `pipeline` | the main loop: three blocks in progress, each one step behind the next |
//! | `batch` | one of these blocks, and its steps as tasks for the threads |
//! | `slice` | the records that one thread decodes and encodes |
//! | `computation` | what a command does with the events of a partition |
//! | `sequencer` | work in input order: numbering, counting, rejecting |
//! | `sends` | work in input order: codes and the ledger |
//! | `cluster` | the same on several processes; `wire`: the numbers and bytes of their messages |

mod batch;
#[cfg(feature = "cluster")]
pub mod cluster;
mod computation;
mod pipeline;
mod sends;
mod sequencer;
mod slice;
#[cfg(feature = "cluster")]
pub mod wire;

use std::io;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::AddAssign;

use thiserror::Error;

use crate::input::{InputError, ReaderSettings};
use crate::location::Location;
use crate::output::Rejection;
use crate::record::{ConversionKind, RecordKind, Time};
use crate::system::os_error;

pub use computation::{Computation, Decided, EventBatch, MAX_PARTITIONS_WITH_NAMES, PREFETCH};
pub use pipeline::{DecisionOutput, Outcome, replay};
pub use sends::{MissingCodes, Sends};

/// The default of `--partitions`, as in the original Wallaroo application.
pub const DEFAULT_PARTITIONS: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");

/// The settings of a replay. Only the limits affect the output.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The number of partitions that customers are divided into.
    pub partitions: NonZeroU32,
    /// The number of threads, in addition to the reader and the writer.
    pub threads: NonZeroUsize,
    /// How the inputs are read.
    pub reader: ReaderSettings,
    /// The maximum number of rejects. One more bad record ends the run; 0 stops at the first bad record.
    pub max_rejects: u64,
    /// Whether times may go back.
    pub allows_disorder: bool,
    /// The index of the list that the saved list replaces, and whose format it has.
    pub replaced_list: Option<usize>,
    /// The minimum number of members in the loyalty list. The replay fails before the first conversion if there are
    /// fewer. It has no effect on an interleaved stream, whose list has no end.
    pub min_members: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            partitions: DEFAULT_PARTITIONS,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            reader: ReaderSettings::default(),
            max_rejects: 0,
            allows_disorder: false,
            replaced_list: None,
            min_members: 0,
        }
    }
}

/// The counts of the input. Every record is counted once in `records` and once in `blanks`, `rejects`, `ignored` or its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Bytes processed, after decompression, without header rows and byte-order marks.
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
    /// Conversions without a decision: of a type that is ignored, or outside the part of the log that is replayed.
    pub ignored: u64,
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
            RecordKind::EarlierPurchase | RecordKind::SuppressedEmail => self.ignored += 1,
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
        self.ignored += other.ignored;
    }
}

/// The counts of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InputCounts {
    /// Lines, rows and frames.
    pub records: u64,
    /// The earliest and the latest time of its conversions that were not ignored, if they have times.
    pub times: Option<(Time, Time)>,
}

impl InputCounts {
    /// Adds records, and the times of the conversions among them.
    fn count(&mut self, records: u64, times: impl IntoIterator<Item = Time>) {
        self.records += records;
        for time in times {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
    }
}

/// Receives the events of a replay, in input order.
pub trait Observer: Send {
    /// Reports progress.
    fn progressed(&mut self, counts: &Counts);

    /// The loyalty list is loaded, with this number of members.
    fn list_loaded(&mut self, _members: u64) {}

    /// A bad record was rejected.
    ///
    /// # Errors
    /// When the record could not be kept. This ends the run.
    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()>;

    /// The next piece of the oversized record that was rejected last.
    ///
    /// # Errors
    /// When the record could not be kept. This ends the run.
    fn rejected_more(&mut self, raw: &[u8]) -> io::Result<()>;

    /// An input is damaged, and the settings say to continue with the next one.
    ///
    /// # Errors
    /// When the damage could not be reported. This ends the run.
    fn damaged(&mut self, error: &InputError) -> io::Result<()>;
}

/// An error that ends a replay.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// A record is bad, and the maximum number of rejects is reached.
    #[error("{location}: {reason}")]
    BadRecord {
        /// The location of the record.
        location: Location,
        /// The reason why it is bad.
        reason: String,
    },
    /// The time of a conversion is before the time of the one before it.
    #[error(
        "{location}: the time goes back: {time} follows {earlier_time} at {earlier}; sort the conversions by time, or \
         add --allow-disorder to keep the order of the files"
    )]
    StepBack {
        /// The location of the conversion.
        location: Location,
        /// Its time.
        time: Time,
        /// The location of the conversion before it.
        earlier: Location,
        /// The time of that.
        earlier_time: Time,
    },
    /// The loyalty list is shorter than the settings allow.
    #[error("the loyalty list has {members} members, fewer than --min-members {minimum} (is it complete?)")]
    TooFewMembers {
        /// The number of members in the list.
        members: u64,
        /// The minimum.
        minimum: u64,
    },
    /// There are fewer unused codes than sends.
    #[error("{0}")]
    TooFewCodes(MissingCodes),
    /// A write to the ledger failed.
    #[error("cannot write the ledger: {}", os_error(.0))]
    Ledger(io::Error),
    /// An input is damaged.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A write failed.
    #[error("cannot write: {}", os_error(.0))]
    Output(io::Error),
    /// The observer failed.
    #[error("{}", os_error(.0))]
    Observer(io::Error),
    /// The system cannot start a thread.
    #[error("cannot start a thread: {} (lower --threads, or raise the limit on processes)", os_error(.0))]
    Threads(io::Error),
}
