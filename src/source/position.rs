//! Where in the inputs something stands, as a person or an editor counts it, and what can go wrong while reading.

use std::fmt;
use std::io;
use std::sync::Arc;

use thiserror::Error;

use super::{Framing, InputLabel};

/// The place of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The input, as the user named it.
    pub input: String,
    /// Where in it.
    pub place: Place,
}

/// The place of one record inside its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// How the input marks its records.
    pub framing: Framing,
    /// Which line or frame it is, counted from 1. Blank lines count; a row of CSV stands at its first line.
    pub record: u64,
    /// Where it begins, counted from 0: at the line's first byte or at the frame's header.
    pub byte: u64,
}

/// `conversions.txt:17`, or `stdin: record 17 at byte 1042` for frames.
impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, place: Place { framing, record, byte } } = self;
        match framing {
            Framing::Text | Framing::Csv => write!(out, "{input}:{record}"),
            Framing::Framed => write!(out, "{input}: record {record} at byte {byte}"),
        }
    }
}

/// Finds the place of a line or frame by its number over the whole run.
#[derive(Debug, Default)]
pub struct Numbering {
    /// The inputs that had something to read, and how many lines or frames came before each.
    inputs: Vec<(Arc<InputLabel>, Framing, u64)>,
}

impl Numbering {
    /// Notes that an input begins behind this many lines or frames.
    pub fn begin(&mut self, input: Arc<InputLabel>, framing: Framing, before: u64) {
        self.inputs.push((input, framing, before));
    }

    /// Where the line or frame with this number, counted from 0, stands. `None` when no input had one.
    pub fn spot(&self, number: u64) -> Option<Spot<'_>> {
        let (input, framing, before) = self.inputs.iter().rev().find(|(.., before)| *before <= number)?;
        Some(Spot { input, framing: *framing, record: number - before + 1 })
    }

    /// The same in words: `conversions.txt:17`, or `stdin: record 17`.
    pub fn place(&self, number: u64) -> String {
        self.spot(number).map_or_else(|| format!("record {}", number.saturating_add(1)), |spot| spot.to_string())
    }
}

/// Where a record stands, as far as its number tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot<'a> {
    /// The input.
    pub input: &'a InputLabel,
    /// How the input marks its records.
    pub framing: Framing,
    /// Which line or frame it is, counted from 1; see [`Place::record`].
    pub record: u64,
}

/// `conversions.txt:17`, or `stdin: record 17` for frames.
impl fmt::Display for Spot<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input: InputLabel { name, .. }, framing, record } = self;
        match framing {
            Framing::Text | Framing::Csv => write!(out, "{name}:{record}"),
            Framing::Framed => write!(out, "{name}: record {record}"),
        }
    }
}

/// Damage to an input itself. Nothing behind it in that input is read.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The input could not be opened.
    #[error("{input}: cannot open: {cause}")]
    Open {
        /// The input, as the user named it.
        input: String,
        /// What the system says.
        cause: io::Error,
    },
    /// A read failed.
    #[error("{input}: cannot read at byte {byte}: {cause}")]
    Read {
        /// The input, as the user named it.
        input: String,
        /// How many bytes were read before.
        byte: u64,
        /// What the system says.
        cause: io::Error,
    },
    /// The header row of a table does not do.
    #[error("{input}:{line}: the header row will not do: {what}")]
    Header {
        /// The input, as the user named it.
        input: String,
        /// Which line it stands on, counted from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The input ends inside a frame.
    #[error("{at}: the input ends inside this frame, after {present} of its {whole} bytes (was it cut short?)")]
    CutFrame {
        /// Where the frame begins.
        at: Position,
        /// How many bytes of the frame are there, header included.
        present: u64,
        /// How many the frame should have, header included; with a cut header, the header's own.
        whole: u64,
    },
}
