//! Turning lines into frames and frames into lines.
//!
//! Records are moved and never looked into, but for one thing: a frame that could not be a line, because it holds a
//! line feed or would be passed over as blank, is refused, and so nothing is lost on the way back.

use memchr::memchr;
use thiserror::Error;

use crate::source::{BYTE_ORDER_MARK, Block, Framing, looks_like_no_text, push_frame};

/// Why a record cannot be framed the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReframeError {
    /// A frame that would be two lines.
    #[error("the frame holds a line feed, so it cannot be one line")]
    LineFeed,
    /// A frame that would be a blank line, which every reader passes over.
    #[error("the frame holds nothing but white space; as a line it would be passed over")]
    Blank,
    /// A record longer than the limit.
    #[error("the record is longer than {0} bytes (--max-record-bytes sets the limit)")]
    TooLong(usize),
    /// A frame whose length is made of letters.
    #[error("the frame's length is a piece of text (is this plain text already?)")]
    Text,
}

/// A record that cannot be framed the other way, and how many records and bytes of its block stand before it.
pub type Misfit = (ReframeError, u64, u64);

/// Appends the records of `block`, of lines or of frames, to `out` as the other one. Blank lines are passed over. A first
/// line that would be taken for no text gets a byte-order mark before it. Gives the number of lines or frames.
///
/// # Errors
/// The first record that cannot be; the records before it are in `out`.
pub fn reframe(block: &Block, max_record_bytes: usize, out: &mut Vec<u8>) -> Result<u64, Misfit> {
    let (bytes, framing) = (block.bytes(), block.framing);
    let (mut at, mut records) = (0, 0);
    while at < bytes.len() {
        let record = framing.record_at(bytes, at);
        let payload = bytes.get(record.payload).unwrap_or_default();
        let misfit = |error| (error, records, at as u64);
        if payload.len() > max_record_bytes {
            return Err(misfit(ReframeError::TooLong(max_record_bytes)));
        }
        match framing {
            Framing::Framed => {
                check_line(payload).map_err(misfit)?;
                if block.number == 0 && at == 0 && looks_like_no_text(payload) {
                    out.extend_from_slice(BYTE_ORDER_MARK);
                }
                out.extend_from_slice(payload);
                out.push(b'\n');
            }
            Framing::Text | Framing::Csv if framing.is_blank(payload) => {}
            Framing::Text | Framing::Csv => push_frame(out, |out| out.extend_from_slice(payload)),
        }
        at = record.end;
        records += 1;
    }
    Ok(records)
}

fn check_line(payload: &[u8]) -> Result<(), ReframeError> {
    if memchr(b'\n', payload).is_some() {
        Err(ReframeError::LineFeed)
    } else if Framing::Text.is_blank(payload) {
        Err(ReframeError::Blank)
    } else {
        Ok(())
    }
}
