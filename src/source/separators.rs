//! Where the commas and the line feeds of a run of bytes stand.
//!
//! One pass finds both, 64 bytes at a time. A search for each line feed and each comma by itself starts anew every dozen
//! bytes, and the starts cost more than the bytes. What a separator separates is not known here.

use wide::u8x16;

/// Bytes that are looked at together: the bits of a mask.
const CHUNK: usize = 64;
const LANES: usize = 16;

/// The places of the separators in a run of bytes, in order.
#[derive(Debug, Clone)]
pub(super) struct Separators<'a> {
    /// The bytes that have not been looked at.
    rest: &'a [u8],
    second: u8x16,
    /// Where the chunk that was looked at last begins, and which of its bytes are separators that have not been told.
    chunk: usize,
    next_chunk: usize,
    mask: u64,
}

impl<'a> Separators<'a> {
    /// The commas and line feeds of `bytes`.
    pub(super) fn commas_and_line_feeds(bytes: &'a [u8]) -> Self {
        Self::new(bytes, b'\n')
    }

    /// The commas of `bytes`.
    pub(super) fn commas(bytes: &'a [u8]) -> Self {
        Self::new(bytes, b',')
    }

    fn new(bytes: &'a [u8], second: u8) -> Self {
        Self { rest: bytes, second: u8x16::splat(second), chunk: 0, next_chunk: 0, mask: 0 }
    }

    /// Looks at the next chunk. `None` when there is none.
    #[inline]
    fn advance(&mut self) -> Option<()> {
        self.mask = if let Some((chunk, rest)) = self.rest.split_first_chunk::<CHUNK>() {
            self.rest = rest;
            self.mask_of(chunk)
        } else if self.rest.is_empty() {
            return None;
        } else {
            let mut padded = [0; CHUNK];
            padded.iter_mut().zip(self.rest).for_each(|(to, from)| *to = *from);
            self.rest = &[];
            self.mask_of(&padded)
        };
        self.chunk = self.next_chunk;
        self.next_chunk += CHUNK;
        Some(())
    }

    /// A bit for every byte of the chunk: whether it is a separator.
    #[inline]
    fn mask_of(&self, chunk: &[u8; CHUNK]) -> u64 {
        let comma = u8x16::splat(b',');
        let lanes = chunk.as_chunks::<LANES>().0.iter().enumerate();
        lanes.fold(0, |mask, (number, lane)| {
            let lane = u8x16::from(*lane);
            let found = lane.simd_eq(comma) | lane.simd_eq(self.second);
            mask | (u64::from(found.to_bitmask()) << (number * LANES))
        })
    }
}

impl Iterator for Separators<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.mask == 0 {
            self.advance()?;
        }
        let at = self.chunk + self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_separator_is_found_and_nothing_else(
            bytes in prop::collection::vec(prop_oneof![Just(b','), Just(b'\n'), any::<u8>()], 0..300),
        ) {
            let plain = |wanted: &[u8]| -> Vec<usize> {
                bytes.iter().enumerate().filter(|(_, byte)| wanted.contains(byte)).map(|(at, _)| at).collect()
            };
            prop_assert_eq!(Separators::commas_and_line_feeds(&bytes).collect::<Vec<_>>(), plain(b",\n"));
            prop_assert_eq!(Separators::commas(&bytes).collect::<Vec<_>>(), plain(b","));
        }
    }
}
