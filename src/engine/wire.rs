//! Numbers and byte strings for other processes: a number has 7 bits in each byte, the lowest first.

/// Appends a number.
#[inline]
pub fn push_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends bytes after their length, or a mark that there are none.
#[inline]
pub fn push_optional(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    push_number(bytes.map_or(0, |bytes| bytes.len() as u64 + 1), out);
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// Reads what these functions wrote. A message is complete when it is received, so a missing byte is a bug.
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub const fn position(&self) -> usize {
        self.position
    }

    pub const fn is_at_end(&self) -> bool {
        self.position == self.bytes.len()
    }

    #[inline]
    pub fn byte(&mut self) -> u8 {
        let byte = self.bytes[self.position];
        self.position += 1;
        byte
    }

    #[inline]
    pub fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return number;
            }
        }
    }

    #[inline]
    pub fn optional(&mut self) -> Option<&'a [u8]> {
        let len = self.number().checked_sub(1)? as usize;
        let start = self.position;
        self.position += len;
        Some(&self.bytes[start..self.position])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes_are_read_as_written() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let mut bytes = Vec::new();
        numbers.iter().for_each(|&number| push_number(number, &mut bytes));
        push_optional(None, &mut bytes);
        push_optional(Some(b""), &mut bytes);
        push_optional(Some(b"kim@example.com"), &mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(numbers.map(|_| reader.number()), numbers);
        assert_eq!([reader.optional(), reader.optional()], [None, Some(&b""[..])]);
        assert_eq!((reader.optional(), reader.is_at_end()), (Some(&b"kim@example.com"[..]), true));
    }
}
