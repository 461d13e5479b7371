//! adseg decides who gets an additional promo code: it replays an ad campaign's conversions against its loyalty list.
//!
//! # The way of the data
//!
//! Bytes walk through the rooms of this house once, in one direction:
//!
//! ```text
//! source -> decoder -> partition -> state -> encoder -> sink
//! ```
//!
//! | step | what happens | where |
//! |---|---|---|
//! | source | A thread reads the inputs in order and cuts them into blocks that end at a record's end. | [`source`] |
//! | decoder | One record's bytes become a borrowed view, or an error that says what is wrong. | [`record`] |
//! | partition | A hash of the email says which of the partitions the record belongs to. | [`partition`] |
//! | state | Each partition knows its members; a pure step takes an event in and gives a decision out. | [`campaign`] |
//! | encoder | A decided conversion becomes a line. | [`encoder`] |
//! | sink | A thread writes the lines in input order; files appear whole or not at all. | [`sink`] |
//!
//! The [`engine`] moves blocks through these steps. A block is cut into slices; slices are decoded side by side,
//! then partitions are applied side by side, each over its own events of all slices in input order, then slices are
//! encoded side by side. So the order of one email's records is kept without a lock and without sorting anything, and
//! the answers come out in the order of the input. A loyalty row is an event like any other, one that decides nothing.
//! Three blocks are under way at once, each a step behind the next, so that no thread waits for the slowest slice or
//! the fullest partition of a step.
//!
//! What a partition does with its events is a [`computation`], handed to the engine from outside; the only place
//! where the campaign's rule lives is [`campaign::decide`].
//!
//! # The program
//!
//! `adseg report` counts instead of answering: what is counted is in [`tally`], and how it is told in [`report`].
//!
//! [`cli`] is what can be typed, [`commands`] does it: one file a subcommand, which checks the arguments, opens the
//! inputs and outputs, calls the engine, and reports. [`progress`], [`messages`], [`summary`], [`stdio`] and
//! [`interrupt`] help it; [`man`] makes the man pages. [`reframe`] and [`sample`] are what `adseg frame` and
//! `adseg generate` do. The library's own errors are typed; `anyhow` lives in [`commands`] alone.

// Nothing that comes in may end the program by surprise.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![warn(clippy::todo, clippy::unimplemented, clippy::print_stdout, clippy::print_stderr)]

pub mod campaign;
pub mod cli;
pub mod commands;
pub mod computation;
pub mod encoder;
pub mod engine;
pub mod interrupt;
pub mod man;
pub mod messages;
pub mod partition;
pub mod progress;
pub mod record;
pub mod reframe;
pub mod report;
pub mod sample;
pub mod sink;
pub mod source;
pub mod stdio;
pub mod summary;
pub mod tally;
