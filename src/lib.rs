//! adseg decides who gets an additional promo code: it replays an ad campaign's conversions against its loyalty list.
//!
//! # The path of a record
//!
//! ```text
//! source -> blocks of whole records -> slices decoded in parallel -> partitions apply -> slices encoded in parallel ->
//! writer
//! ```
//!
//! | step | what happens | where |
//! |---|---|---|
//! | source | A thread opens the inputs one after the other, decompresses them and detects their format. | `input/source.rs`, `input/format.rs` |
//! | blocks | It cuts the bytes into blocks that end where a record ends, the same way for every format. | `input/block_reader.rs` |
//! | decode | A thread splits a slice of a block into records and their fields, checks them, and notes where each field is. | `input/splitter.rs`, `record/decoder.rs` |
//! | partition | A hash of the email says which partition the record belongs to. | `engine/slice.rs`, `engine/partition.rs` |
//! | apply | Each partition applies its events in input order: one pure step from event and membership to decision and membership. | `analysis/decide.rs`, `campaign/customers.rs`, `campaign/rule.rs` |
//! | encode | A thread renders the decisions of a slice, from the fields that the decoder found. | `output/encoder.rs` |
//! | write | A thread writes in input order; files are replaced whole or not at all. | `output/writer.rs`, `output/staging.rs` |
//!
//! `engine/pipeline.rs` moves three blocks through these steps at once, each one step behind the next. So the order of
//! one email's records is kept without a lock and without sorting, and decisions come out in the order of the input.
//! What must happen in input order on one thread (numbering, counting, rejecting) is in `engine/sequencer.rs`.
//!
//! # The modules
//!
//! | module | content |
//! |---|---|
//! | [`cli`] | the program: one file a subcommand |
//! | `input` | from a file or a pipe to blocks, and from a slice to decoded records |
//! | `record` | what one record means: typed values, and what is wrong with a bad record |
//! | `campaign` | the rule, the customers of a partition, the saved list; without I/O and threads |
//! | `engine` | the pipeline |
//! | `analysis` | what each command computes over the partitions |
//! | `report` | counting for `adseg report`, and rendering as text, JSON, CSV and HTML |
//! | `output` | encoders, the writer thread, staged files, the lock on a list, rejects |
//! | `sample` | the data of `adseg generate` |
//! | `escape` | the one place that makes untrusted bytes safe to show |
//! | `location` | where a record is, for messages and reports |
//!
//! # Invariants
//!
//! - One email, one partition, for the whole run; nothing a user sees depends on partitions, threads, or how the input
//!   arrives.
//! - A record is decoded once. Spans of its fields travel to the partitions and encoders.
//! - What input or the system can break is a typed error with the remedy in its text. What only a bug can break aborts:
//!   an index, or `expect` with the reason why it holds. A panic in any thread ends the run, and no file is changed.

#![warn(clippy::unwrap_used, clippy::todo, clippy::unimplemented, clippy::print_stdout, clippy::print_stderr)]

mod analysis;
mod campaign;
pub mod cli;
mod engine;
mod escape;
mod input;
mod location;
mod output;
mod record;
mod report;
mod sample;
mod system;

// What integration tests and benches use of the library beside the program.
pub use analysis::{CountCampaign, Decide, EntryKind, Explain, Histories, saved_list};
pub use engine::{Counts, DecisionOutput, Observer, ReplayError, Settings, replay};
pub use input::{ByteSource, Input, InputError, InputFormat, Origin, ReadMode, ReaderSettings};
pub use location::{Location, RecordNumber};
pub use output::{DecisionEncoder, OutputFormat, Rejection, write_saved_list};
pub use record::SourceKind;
pub use report::{Totals, json, tables};
pub use sample::{Records, Settings as SampleSettings};
