//! The records of a part of a block, one after the other, each with the commas in it.
//!
//! [`Framing::record_at`] finds one record anywhere. Whoever takes all of them in order takes them from here: the bytes
//! are looked through once for the ends of lines and for commas together.

use std::iter::Peekable;
use std::ops::Range;

use super::separators::Separators;
use super::{Framing, RawRecord};
use crate::record::field::Commas;

/// The records of a run of whole records, in order.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    framing: Framing,
    /// The bytes up to the end of the run.
    bytes: &'a [u8],
    /// Where the next record begins.
    at: usize,
    /// Where the separators are counted from.
    origin: usize,
    separators: Peekable<Separators<'a>>,
}

impl<'a> Records<'a> {
    /// The records in `range` of `bytes`, which begins and ends where a record does.
    pub fn new(framing: Framing, bytes: &'a [u8], range: Range<usize>) -> Self {
        let bytes = bytes.get(..range.end).unwrap_or(bytes);
        let run = bytes.get(range.start..).unwrap_or_default();
        let separators = match framing {
            Framing::Text => Separators::commas_and_line_feeds(run),
            Framing::Framed => Separators::commas(run),
            // The fields of a table's rows have been told apart.
            Framing::Csv => Separators::commas(&[]),
        };
        Self { framing, bytes, at: range.start, origin: range.start, separators: separators.peekable() }
    }

    #[inline(always)]
    fn line(&mut self) -> (RawRecord, Commas) {
        let start = self.at;
        let mut commas = Commas::default();
        for separator in self.separators.by_ref() {
            let at = self.origin + separator;
            if self.bytes.get(at) == Some(&b'\n') {
                return (RawRecord::line(start..at, at + 1), commas);
            }
            commas.push(at - start);
        }
        (RawRecord::line(start..self.bytes.len(), self.bytes.len()), commas)
    }

    #[inline]
    fn frame(&mut self) -> (RawRecord, Commas) {
        let record = self.framing.record_at(self.bytes, self.at);
        let mut commas = Commas::default();
        while let Some(separator) = self.separators.next_if(|separator| self.origin + separator < record.end) {
            // What looks like a comma in the header is a part of the length.
            if let Some(at) = (self.origin + separator).checked_sub(record.payload.start) {
                commas.push(at);
            }
        }
        (record, commas)
    }
}

impl Iterator for Records<'_> {
    type Item = (RawRecord, Commas);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let (record, commas) = match self.framing {
            Framing::Text => self.line(),
            Framing::Framed => self.frame(),
            Framing::Csv => (self.framing.record_at(self.bytes, self.at), Commas::default()),
        };
        self.at = record.end;
        Some((record, commas))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::field::Fields;
    use crate::source::push_frame;

    /// The records as [`Framing::record_at`] finds them, with the fields that a search for each comma gives.
    fn plain(framing: Framing, bytes: &[u8], start: usize) -> Vec<(RawRecord, Vec<Vec<u8>>)> {
        let mut at = start;
        let next = || {
            let record = (at < bytes.len()).then(|| framing.record_at(bytes, at))?;
            at = record.end;
            let fields = Fields::of(&bytes[record.payload.clone()]).map(<[u8]>::to_vec).collect();
            Some((record, fields))
        };
        std::iter::from_fn(next).collect()
    }

    fn in_one_pass(framing: Framing, bytes: &[u8], start: usize) -> Vec<(RawRecord, Vec<Vec<u8>>)> {
        let records = Records::new(framing, bytes, start..bytes.len());
        let fields = |record: &RawRecord, commas| Fields::cut(&bytes[record.payload.clone()], commas);
        records
            .map(|(record, commas)| (record.clone(), fields(&record, commas).map(<[u8]>::to_vec).collect()))
            .collect()
    }

    proptest! {
        #[test]
        fn one_pass_finds_the_same_lines_and_fields_as_one_search_for_each(
            lines in prop::collection::vec("[a ,]{0,90}", 0..8), closed: bool, skipped in 0..3_usize,
        ) {
            let mut bytes = lines.join("\n").into_bytes();
            bytes.extend(closed.then_some(b'\n'));
            let start = lines.iter().take(skipped).map(|line| line.len() + 1).sum::<usize>().min(bytes.len());
            prop_assert_eq!(in_one_pass(Framing::Text, &bytes, start), plain(Framing::Text, &bytes, start));
        }

        #[test]
        fn one_pass_finds_the_same_frames_and_fields_as_one_search_for_each(
            payloads in prop::collection::vec("[a \n,]{0,90}", 0..8), skipped in 0..3_usize,
        ) {
            let mut bytes = Vec::new();
            payloads.iter().for_each(|payload| push_frame(&mut bytes, |out| out.extend_from_slice(payload.as_bytes())));
            let start = payloads.iter().take(skipped).map(|payload| payload.len() + 4).sum();
            prop_assert_eq!(in_one_pass(Framing::Framed, &bytes, start), plain(Framing::Framed, &bytes, start));
        }
    }

    #[test]
    fn a_comma_in_a_frame_s_length_separates_nothing() {
        let mut bytes = Vec::new();
        push_frame(&mut bytes, |out| out.extend_from_slice(&[b'x'; b',' as usize]));
        assert_eq!(in_one_pass(Framing::Framed, &bytes, 0), plain(Framing::Framed, &bytes, 0));
    }
}
