//! Finds the separators of CSV outside quotes, 64 bytes at a time, by the parity of the quotes before them.
//!
//! That is correct only if quotes are around complete fields and doubled inside them, and if no carriage return ends a
//! row alone. Any other bytes are unusual, and are read byte by byte.

use super::separators::{CHUNK, positions_of, push_positions};

/// The state between two chunks.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuoteParity {
    pub delimiter: u8,
    /// Whether the next byte is in a quoted field.
    pub is_quoted: bool,
    /// Whether a quote that is the next byte is well placed: it opens a field, or is the second of two quotes.
    pub can_open: bool,
}

/// The positions of separators outside quotes, one bit for each byte of a chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Separators {
    pub delimiters: u64,
    pub line_feeds: u64,
    /// Whether a quoted field contains a line feed.
    pub has_quoted_line_feed: bool,
}

impl QuoteParity {
    /// The separators in a chunk that `next` follows; `None` if it is unusual.
    #[inline(always)]
    pub(super) fn separators(&mut self, chunk: &[u8; CHUNK], next: u8) -> Option<Separators> {
        let positions = |byte| positions_of(chunk, byte);
        let [quotes, delimiters, line_feeds, returns] = [b'"', self.delimiter, b'\n', b'\r'].map(positions);
        let before = if self.is_quoted { u64::MAX } else { 0 };
        let quoted = if quotes == 0 { before } else { before ^ prefix_xor(quotes) };
        let around = quotes | delimiters | line_feeds | returns;
        let is_next = |found| u64::from(found) << (CHUNK - 1);
        let is_around = [b'"', self.delimiter, b'\n', b'\r'].contains(&next);
        let bad_open = quotes & quoted & !(around << 1 | u64::from(self.can_open));
        let bad_close = quotes & !quoted & !(around >> 1 | is_next(is_around));
        let bad_return = returns & !quoted & !(line_feeds >> 1 | is_next(next == b'\n'));
        if bad_open | bad_close | bad_return != 0 {
            return None;
        }
        self.is_quoted = quoted >> (CHUNK - 1) != 0;
        self.can_open = around >> (CHUNK - 1) != 0;
        let has_quoted_line_feed = line_feeds & quoted != 0;
        Some(Separators { delimiters: delimiters & !quoted, line_feeds: line_feeds & !quoted, has_quoted_line_feed })
    }
}

/// Each bit is the parity of the bits up to it.
const fn prefix_xor(mut bits: u64) -> u64 {
    let mut shift = 1;
    while shift < u64::BITS {
        bits ^= bits << shift;
        shift *= 2;
    }
    bits
}

/// The positions of the delimiters and line feeds in `bytes` from `at` on, ascending, if every row is one line in the
/// usual form. `buffer` is reused.
pub(super) fn find_csv_separators<'a>(
    bytes: &[u8],
    mut at: usize,
    delimiter: u8,
    buffer: &'a mut Vec<u32>,
) -> Option<&'a [u32]> {
    let mut parity = QuoteParity { delimiter, is_quoted: false, can_open: true };
    let mut count = 0;
    let mut push = |chunk: &[u8; CHUNK], at: usize| {
        let next = bytes.get(at + CHUNK).copied().unwrap_or(b'\n');
        let found = parity.separators(chunk, next).filter(|found| !found.has_quoted_line_feed)?;
        push_positions(at, found.delimiters | found.line_feeds, buffer, &mut count);
        Some(())
    };
    let (chunks, rest) = bytes[at..].as_chunks::<CHUNK>();
    for chunk in chunks {
        push(chunk, at)?;
        at += CHUNK;
    }
    // The end of the bytes ends a row. If a quoted field is open there, this line feed is in it.
    let mut padded = [b'\n'; CHUNK];
    padded[..rest.len()].copy_from_slice(rest);
    push(&padded, at)?;
    let padding = CHUNK - rest.len();
    Some(&buffer[..count - padding])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::input::csv::RowFields;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn separators_are_those_of_the_rows(
            rows in prop::collection::vec("[a,]{0,20}|(\"[a,]{0,30}(\"\")?[,]?\"|[a]{0,30})(,\"a{0,20}\"|,a?){0,3}\r?|[a\", \r]{0,6}", 0..9),
            is_closed: bool,
        ) {
            let mut bytes = rows.join("\n").into_bytes();
            bytes.extend(is_closed.then_some(b'\n'));
            let (mut row, mut expected, mut is_usual, mut at) = (RowFields::default(), Vec::new(), true, 0);
            while at < bytes.len() {
                let end = row.split(&bytes, at, 0, b',', &mut Vec::new());
                let line_feeds = bytes[at..end].iter().filter(|byte| **byte == b'\n').count();
                is_usual &= row.well_quoted && (line_feeds == 1 && bytes[end - 1] == b'\n' || line_feeds == 0 && end == bytes.len());
                expected.push((row.width, end));
                at = end;
            }
            let mut buffer = Vec::new();
            if let Some(found) = find_csv_separators(&bytes, 0, b',', &mut buffer) {
                let mut rows = Vec::new();
                let mut first = 0;
                for (index, &at) in found.iter().enumerate() {
                    if bytes[at as usize] == b'\n' {
                        rows.push((index - first + 1, at as usize + 1));
                        first = index + 1;
                    }
                }
                if bytes.last().is_some_and(|last| *last != b'\n') {
                    rows.push((found.len() - first + 1, bytes.len()));
                }
                prop_assert!(is_usual);
                prop_assert_eq!(rows, expected);
            } else {
                prop_assert!(!is_usual);
            }
        }
    }
}
