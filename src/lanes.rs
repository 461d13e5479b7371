//! Tests and compares short byte strings 16 bytes at a time, without a branch for every byte and without calls to the C
//! library.

use wide::u8x16;

/// The number of bytes that are tested together.
const LANES: usize = 16;

/// The maximum length of a string that three groups of lanes cover.
pub const COVERED: usize = 3 * LANES;

/// The first, the middle and the last 16 bytes, which are all bytes of a string of at most [`COVERED`]; `None` if it has
/// fewer than 16. They may overlap.
#[inline(always)]
pub fn groups(bytes: &[u8]) -> Option<[&[u8; LANES]; 3]> {
    let middle = (bytes.len() / 2).wrapping_sub(LANES / 2);
    Some([bytes.first_chunk()?, bytes.get(middle..)?.first_chunk()?, bytes.last_chunk()?])
}

/// Whether `test` finds one of the bytes. A byte may be tested more than once.
#[inline(always)]
pub fn any(bytes: &[u8], test: impl Fn(u8x16) -> u8x16) -> bool {
    let Some(groups) = groups(bytes) else {
        return short(bytes).is_some_and(|lanes| test(u8x16::from(lanes.to_le_bytes())).any());
    };
    let [first, middle, last] = groups.map(|lanes| test(u8x16::from(*lanes)));
    let rest = || bytes.as_chunks().0.iter().any(|&lanes| test(u8x16::from(lanes)).any());
    (first | middle | last).any() || (bytes.len() > COVERED && rest())
}

/// All bytes of a string of fewer than 16, each at least once; `None` if it is empty.
#[inline(always)]
fn short(bytes: &[u8]) -> Option<u128> {
    Some(if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let [first, last] = [first, last].map(|half| u128::from(u64::from_le_bytes(*half)));
        first << 64 | last
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let [first, last] = [first, last].map(|quarter| u128::from(u32::from_le_bytes(*quarter)));
        (first << 32 | last) * (1 << 64 | 1)
    } else {
        let mut lanes = [*bytes.first()?; LANES];
        [lanes[1], lanes[2]] = [bytes[bytes.len() / 2], bytes[bytes.len() - 1]];
        u128::from_le_bytes(lanes)
    })
}

/// The ASCII control bytes: 0x00 to 0x1F, and 0x7F.
#[inline(always)]
pub fn controls(lanes: u8x16) -> u8x16 {
    lanes.simd_lt(u8x16::splat(b' ')) | lanes.simd_eq(u8x16::splat(0x7f))
}

/// The upper-case ASCII letters.
#[inline(always)]
pub fn upper_case(lanes: u8x16) -> u8x16 {
    lanes.simd_gt(u8x16::splat(b'A' - 1)) & lanes.simd_lt(u8x16::splat(b'Z' + 1))
}

/// The bytes that are one of `bytes`.
#[inline(always)]
pub fn one_of<const COUNT: usize>(bytes: [u8; COUNT]) -> impl Fn(u8x16) -> u8x16 {
    move |lanes| bytes.iter().fold(u8x16::splat(0), |found, &byte| found | lanes.simd_eq(u8x16::splat(byte)))
}

/// Whether two strings are equal.
#[inline(always)]
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    match (groups(left), groups(right)) {
        (Some(left_groups), Some(right_groups)) if left.len() <= COVERED => left_groups == right_groups,
        (None, None) => short(left) == short(right),
        _ => left == right,
    }
}

/// Appends `bytes`. A string of usual length is stored in groups of 16 bytes.
#[inline(always)]
pub fn push(bytes: &[u8], out: &mut Vec<u8>) {
    let len = bytes.len();
    let (Some([first, middle, last]), true) = (groups(bytes), len <= COVERED) else {
        return out.extend_from_slice(bytes);
    };
    let start = out.len();
    out.extend_from_slice(&[0; COVERED]);
    let copy: &mut [u8; COVERED] = out.last_chunk_mut().expect("as many bytes were appended");
    *copy.first_chunk_mut().expect("a group is shorter") = *first;
    copy[len / 2 - LANES / 2..][..LANES].copy_from_slice(middle);
    copy[len - LANES..][..LANES].copy_from_slice(last);
    out.truncate(start + len);
}

/// A constant text of at most 16 bytes, which is appended with one store.
#[derive(Debug, Clone, Copy)]
pub struct ShortText {
    bytes: [u8; LANES],
    len: usize,
}

impl ShortText {
    /// # Panics
    /// When the text is longer.
    pub const fn new(text: &str) -> Self {
        assert!(text.len() <= LANES, "the text fits");
        let mut bytes = [0; LANES];
        bytes.split_at_mut(text.len()).0.copy_from_slice(text.as_bytes());
        Self { bytes, len: text.len() }
    }

    /// Appends the text.
    #[inline(always)]
    pub fn push(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        out.truncate(start + self.len);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn a_byte_is_found_at_every_length_and_position() {
        for len in 0..70 {
            let mut bytes = vec![b'~'; len];
            assert!(!any(&bytes, controls) && !any(&bytes, one_of([b',', b'"'])));
            for at in 0..len {
                for control in [0, 0x1f, 0x7f] {
                    bytes[at] = control;
                    assert!(any(&bytes, controls), "{at} of {len}");
                }
                for (byte, is_capital) in [(b'@', false), (b'A', true), (b'Z', true), (b'[', false), (0xc1, false)] {
                    bytes[at] = byte;
                    assert_eq!(any(&bytes, upper_case), is_capital, "{at} of {len}");
                }
                bytes[at] = b'"';
                assert!(!any(&bytes, controls) && any(&bytes, one_of([b',', b'"'])), "{at} of {len}");
                bytes[at] = b'~';
            }
        }
    }

    #[test]
    fn only_upper_case_letters_are_found() {
        assert!((0..=u8::MAX).all(|byte| any(&[byte], upper_case) == byte.is_ascii_uppercase()));
    }

    #[test]
    fn a_short_text_is_appended() {
        let mut out = vec![7];
        for text in ["0123456789abcdef", "", "true"] {
            ShortText::new(text).push(&mut out);
        }
        assert_eq!(out, b"\x070123456789abcdeftrue");
    }

    #[test]
    fn a_string_of_any_length_is_appended() {
        let bytes: Vec<u8> = (0..70).collect();
        for len in 0..70 {
            let mut out = vec![7];
            push(&bytes[..len], &mut out);
            assert_eq!((out[0], &out[1..]), (7, &bytes[..len]));
        }
    }

    proptest! {
        #[test]
        fn strings_are_equal_if_all_bytes_are(bytes in prop::collection::vec(0_u8.., 0..60), at: prop::sample::Index) {
            prop_assert!(equal(&bytes, &bytes.clone()));
            let mut other = bytes.clone();
            other.push(0);
            prop_assert!(!equal(&bytes, &other));
            other[at.index(bytes.len() + 1)] ^= 1;
            other.truncate(bytes.len());
            prop_assert_eq!(equal(&bytes, &other), bytes == other);
        }
    }
}
