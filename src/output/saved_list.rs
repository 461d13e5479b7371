//! Writes the loyalty list at the end of a run, in the text format of the input.

use std::io::{self, Write};

use crate::input::{BYTE_ORDER_MARK, is_ambiguous_as_text};
use crate::record::field::trim;

/// Writes `members`: the email, and the other fields with a comma before each.
///
/// A row that would be longer than `max_record_bytes` is written without spaces after its commas. Then it is not longer
/// than the original record, and can be read with the same limit.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_saved_list<'a>(
    members: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    max_record_bytes: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    for (index, (email, fields)) in members.enumerate() {
        if index == 0 && is_ambiguous_as_text(email) {
            out.write_all(BYTE_ORDER_MARK)?;
        }
        out.write_all(email)?;
        if email.len() + fields.len() > max_record_bytes {
            for field in fields.split(|&byte| byte == b',').skip(1) {
                out.write_all(b",")?;
                out.write_all(trim(field))?;
            }
        } else {
            out.write_all(fields)?;
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(members: &[(&str, &str)], max_record_bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let members = members.iter().map(|(email, fields)| (email.as_bytes(), fields.as_bytes()));
        write_saved_list(members, max_record_bytes, &mut out).unwrap();
        out
    }

    #[test]
    fn a_row_at_the_limit_is_written_without_spaces() {
        let members = [("a@x", ", fb, in, F"), ("b@x", ", , , ")];
        assert_eq!(saved(&members, 100), b"a@x, fb, in, F\nb@x, , , \n");
        assert_eq!(saved(&members, 11), b"a@x,fb,in,F\nb@x, , , \n");
    }

    #[test]
    fn a_list_that_begins_like_another_format_gets_a_byte_order_mark() {
        assert_eq!(saved(&[("\u{feff}a@x", ", , , ")], 100), "\u{feff}\u{feff}a@x, , , \n".as_bytes());
    }
}
