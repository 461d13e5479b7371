//! The loyalty list, in the text format in which it is read.

use std::io::{self, Write};

use crate::campaign::{LoyaltyCustomers, members};
use crate::record::field::trim;
use crate::source::{BYTE_ORDER_MARK, looks_like_no_text};

/// Writes the members of all partitions, in their order. Tonight's list is tomorrow's: what is written here is read
/// again as the same members.
///
/// A row that would be longer than `max_record_bytes` is written without the spaces behind its commas: then it is no
/// longer than the record it came from, and can be read under the same limit.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_list(partitions: &[LoyaltyCustomers], max_record_bytes: usize, out: &mut impl Write) -> io::Result<()> {
    for (index, (email, fields)) in members(partitions).enumerate() {
        if index == 0 && looks_like_no_text(email) {
            out.write_all(BYTE_ORDER_MARK)?;
        }
        out.write_all(email)?;
        if email.len().saturating_add(fields.len()) > max_record_bytes {
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
