//! adseg decides who gets an additional promo code. It replays an ad campaign's conversions against its loyalty list.
//!
//! # The path of a record
//!
//! ```text
//! source -> blocks -> slices decoded in parallel -> partitions apply -> slices encoded in parallel -> writer
//! ```
//!
//! | step | what happens | where |
//! |---|---|---|
//! | source | A thread opens the inputs one after the other, decompresses them and detects their format. | `input/source.rs`, `input/decompress.rs`, `input/detect.rs` |
//! | blocks | The same thread splits the bytes into blocks that end at the end of a record. | `input/block_reader.rs` |
//! | decode | A thread splits a slice of a block into records and fields, checks them, and records the position of each field. | `input/splitter.rs`, `record/decoder.rs` for text, `record/table.rs` for CSV and JSON Lines |
//! | partition | A hash of the email assigns the record to a partition. | `engine/slice.rs` |
//! | apply | Each partition applies its events in input order: a pure function maps an event and a membership to a decision and a new membership. The gates of the policy may stop a code. | `analysis/decide.rs`, `campaign/customers.rs`, `campaign/rule.rs`, `campaign/gates.rs` |
//! | encode | A thread renders the decisions of a slice from the decoded fields. | `output/encoder.rs` |
//! | write | A thread writes in input order; files are replaced completely or not at all. | `output/writer.rs`, `output/staging.rs` |
//!
//! `engine/pipeline.rs` moves three blocks through these steps at a time, each one step behind the next. The records of
//! one email stay in order without a lock, and decisions are written in input order without sorting. Work that must
//! happen in input order on one thread is in `engine/sequencer.rs` (numbering, counting, rejecting) and
//! `engine/sends.rs` (codes).
//!
//! # The modules
//!
//! | module | content |
//! |---|---|
//! | [`cli`] | the command line: one file for each subcommand |
//! | `input` | reading files and pipes as blocks, and decoding the records of a slice |
//! | `record` | decoding one record: typed values, and the errors of bad records |
//! | `campaign` | the rule, the policy, the customers of a partition, the saved list; without I/O or threads |
//! | `engine` | the pipeline; `engine/cluster`: the same on several processes |
//! | `analysis` | the computations of the commands over the partitions, except that of `report` |
//! | `report` | counting for `adseg report`, and rendering as text, JSON, CSV and HTML |
//! | `output` | encoders, the writer thread, staged files, locks, rejects |
//! | `sample` | the data of `adseg generate` |
//! | `escape` | escaping of untrusted bytes for display |
//! | `lanes` | tests of 16 bytes at a time |
//! | `location` | the location of a record, for messages and reports |
//! | `system` | the standard streams, and the text of I/O errors |
//!
//! # Invariants
//!
//! - All records of one email are in one partition. Nothing that a user sees depends on partitions, threads, or how the
//!   input arrives.
//! - A good record is decoded once. A bad record is decoded a second time to produce its message. Partitions and
//!   encoders use the spans of the fields.
//! - A failure of the input or the system is a typed error, with the remedy in its text. A failed invariant panics: use
//!   indexing, or `expect` with the reason. A panic in any thread ends the run, and no file is changed.

#![warn(clippy::unwrap_used, clippy::todo, clippy::unimplemented, clippy::print_stdout, clippy::print_stderr)]

mod analysis;
mod campaign;
pub mod cli;
mod engine;
mod escape;
mod input;
mod lanes;
mod location;
mod output;
mod record;
mod report;
mod sample;
mod system;

// For integration tests and benches.
pub use analysis::{Decide, Explain, Histories, LoadSuppression, saved_list};
pub use campaign::{
    Codes, Holdout, Ledger, LedgerGroups, LedgerOutcome, LedgerRow, Once, Policy, PolicyRules, Reason, ReasonCounts,
    SuppressionList,
};
pub use engine::{Counts, DecisionOutput, Observer, ReplayError, Sends, Settings, replay};
pub use input::{
    ByteSource, Input, InputError, InputFormat, Origin, ReadMode, ReadOptions, ReaderSettings, read_ledger,
};
pub use location::{Location, RecordNumber};
pub use output::{DecisionEncoder, ListFormat, OutputFormat, Rejection};
pub use record::{Column, ConversionKind, SourceKind, TableRules, Time, TimeWindow, TypeNames};
pub use report::{CountCampaign, Head, Report, Totals, json};
pub use sample::{Records, Settings as SampleSettings};
