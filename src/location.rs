//! The location of a record: input, line or frame, and byte, as an editor counts them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::escape;

/// The location of one record. JSON has the keys `file`, `line` or `frame`, and `byte` if it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The path of the input, or `stdin`.
    #[serde(rename = "file", serialize_with = "serialize_path")]
    pub input: Arc<Path>,
    /// The number of the record in its input.
    #[serde(flatten)]
    pub record: RecordNumber,
    /// The offset of the record in the input: of the first byte of the line or of the frame header. Known only while
    /// the record is being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
}

fn serialize_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.to_string_lossy())
}

/// The number of a record in its input, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordNumber {
    /// The line on which it begins. Blank lines and the header row count.
    Line(u64),
    /// The frame.
    Frame(u64),
}

impl RecordNumber {
    /// The number of a frame or a line.
    pub const fn new(is_framed: bool, number: u64) -> Self {
        if is_framed { Self::Frame(number) } else { Self::Line(number) }
    }
}

/// `conversions.txt:17`, or `stdin: record 17 at byte 1042` for frames.
impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, record, byte } = self;
        let input = escape::path(input);
        match (record, byte) {
            (RecordNumber::Line(line), _) => write!(out, "{input}:{line}"),
            (RecordNumber::Frame(frame), Some(byte)) => write!(out, "{input}: record {frame} at byte {byte}"),
            (RecordNumber::Frame(frame), None) => write!(out, "{input}: record {frame}"),
        }
    }
}

/// Finds the location of a record by its number. Numbers count the lines and frames of all inputs from 0.
#[derive(Debug, Default)]
pub struct LineIndex {
    /// The inputs that are not empty.
    inputs: Vec<IndexedInput>,
}

#[derive(Debug)]
struct IndexedInput {
    path: Arc<Path>,
    is_framed: bool,
    /// The number of lines and frames of the inputs before it.
    before: u64,
}

impl LineIndex {
    /// Adds the next input, which begins after `before` lines and frames.
    pub fn push(&mut self, path: Arc<Path>, is_framed: bool, before: u64) {
        self.inputs.push(IndexedInput { path, is_framed, before });
    }

    /// The location of the record with this number.
    ///
    /// # Panics
    /// When no input has such a record.
    pub fn location(&self, number: u64) -> Location {
        let after = self.inputs.partition_point(|input| input.before <= number);
        let IndexedInput { path, is_framed, before } = &self.inputs[..after].last().expect("every record has an input");
        let record = RecordNumber::new(*is_framed, number - before + 1);
        Location { input: Arc::clone(path), record, byte: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_number_gives_input_and_line() {
        let mut index = LineIndex::default();
        index.push(Path::new("empty.txt").into(), false, 0);
        index.push(Path::new("a.txt").into(), false, 0);
        index.push(Path::new("b.frames").into(), true, 2);
        let location = |number| index.location(number).to_string();
        assert_eq!([0, 1, 2, 3].map(location), ["a.txt:1", "a.txt:2", "b.frames: record 1", "b.frames: record 2"]);
    }

    #[test]
    fn a_location_is_shown_as_editors_expect() {
        let location = Location { input: Path::new("stdin").into(), record: RecordNumber::Frame(17), byte: Some(1042) };
        assert_eq!(location.to_string(), "stdin: record 17 at byte 1042");
        assert_eq!(serde_json::to_string(&location).unwrap(), r#"{"file":"stdin","frame":17,"byte":1042}"#);
        let location = Location { record: RecordNumber::Line(17), ..location };
        assert_eq!(location.to_string(), "stdin:17");
    }
}
