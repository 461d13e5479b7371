//! Finds the bytes that separate fields and records, 64 bytes at a time.

use wide::u8x16;

/// The number of bytes that are tested together: one bit of a mask each.
pub(super) const CHUNK: usize = 64;
const LANES: usize = 16;

/// The number of positions that are written together: more than most masks have.
const GROUP: usize = 8;

/// The positions of two kinds of bytes in `bytes` from `at` on, ascending. `buffer` is reused.
pub(super) fn find_separators<'a>(
    bytes: &[u8],
    mut at: usize,
    separators: [u8; 2],
    buffer: &'a mut Vec<u32>,
) -> &'a [u32] {
    let separators = separators.map(u8x16::splat);
    let mut count = 0;
    let (chunks, rest) = bytes[at..].as_chunks::<CHUNK>();
    for chunk in chunks {
        push_positions(at, mask_of(chunk, separators), buffer, &mut count);
        at += CHUNK;
    }
    let mut padded = [0; CHUNK];
    padded[..rest.len()].copy_from_slice(rest);
    push_positions(at, mask_of(&padded, separators), buffer, &mut count);
    &buffer[..count]
}

/// Writes the positions of the bits of `mask`, which begins at `at`, to `buffer` after the first `count`.
#[inline(always)]
pub(super) fn push_positions(at: usize, mut mask: u64, buffer: &mut Vec<u32>, count: &mut usize) {
    if buffer.len() < *count + CHUNK {
        buffer.resize(*count + *count / 2 + CHUNK, 0);
    }
    let free: &mut [u32; CHUNK] = buffer[*count..].first_chunk_mut().expect("there is room for every bit of a mask");
    let bits = mask.count_ones() as usize;
    // Positions are written in groups. What is written beyond the last bit is overwritten later.
    for group in free.as_chunks_mut::<GROUP>().0.iter_mut().take(bits.div_ceil(GROUP)) {
        for position in group {
            *position = at as u32 + mask.trailing_zeros();
            mask &= mask.wrapping_sub(1);
        }
    }
    *count += bits;
}

/// A mask with a bit for every byte of the chunk that is a separator.
#[inline(always)]
fn mask_of(chunk: &[u8; CHUNK], [first, second]: [u8x16; 2]) -> u64 {
    let lanes = chunk.as_chunks::<LANES>().0.iter().enumerate();
    lanes.fold(0, |mask, (number, lane)| {
        let lane = u8x16::from(*lane);
        let found = lane.simd_eq(first) | lane.simd_eq(second);
        mask | (u64::from(found.to_bitmask()) << (number * LANES))
    })
}

/// A mask with a bit for every byte of the chunk that is `byte`.
#[inline(always)]
pub(super) fn positions_of(chunk: &[u8; CHUNK], byte: u8) -> u64 {
    let byte = u8x16::splat(byte);
    mask_of(chunk, [byte; 2])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_separator_is_found_and_nothing_else(
            bytes in prop::collection::vec(prop_oneof![Just(b','), Just(b'\n'), any::<u8>()], 0..300),
            start in 0_usize..300,
        ) {
            let start = start.min(bytes.len());
            let mut buffer = vec![7; 5];
            for second in [b'\n', b','] {
                let found = find_separators(&bytes, start, [b',', second], &mut buffer);
                let expected: Vec<u32> =
                    (start..bytes.len()).filter(|&at| [b',', second].contains(&bytes[at])).map(|at| at as u32).collect();
                prop_assert_eq!(found, &expected[..]);
            }
        }
    }
}
