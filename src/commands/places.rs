//! Where records stand, as reports tell it to programs.

use serde::Serialize;

use crate::source::{Framing, Numbering};

/// The keys that say where a record stands.
#[derive(Debug, Serialize)]
pub struct At<'a> {
    /// The input, as messages call it.
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<u64>,
}

impl<'a> At<'a> {
    /// Where the record with this number stands.
    pub fn of(numbering: &'a Numbering, number: u64) -> Option<Self> {
        let spot = numbering.spot(number)?;
        let frame = (spot.framing == Framing::Framed).then_some(spot.record);
        Some(Self { file: &spot.input.name, line: frame.is_none().then_some(spot.record), frame })
    }
}
