//! A row of named columns on its way from the CSV source to the decoders.
//!
//! CSV is taken apart where it is read, because only there it is known where a quoted field ends. What travels on is the
//! columns that the record needs, unquoted, each behind its length. How CSV is read does not live here.

use super::RecordError;
use super::field::trim;

/// The columns of a loyalty row, by their names in the header.
pub const CUSTOMER_COLUMNS: [&str; 4] = ["email", "fb_user", "insta_user", "gender"];

/// The columns of a conversion, by their names in the header.
pub const CONVERSION_COLUMNS: [&str; 6] = ["promo", "conversion", "email", "where", "items", "total_cost"];

/// How wide a row is beside its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// It has a field for every column.
    AsHeader,
    /// It has more or fewer.
    Differs {
        /// How many columns the header has.
        header: u32,
        /// How many fields the row has.
        row: u32,
    },
    /// Quotes stand where none can be, so nobody knows where its fields end.
    Misquoted,
}

const AS_HEADER: u32 = 0;
const DIFFERS: u32 = 1;
const MISQUOTED: u32 = 2;

/// Stands for the length of a column that the header does not have.
const NO_COLUMN: u32 = u32::MAX;

/// Appends a row to `out`: its width, and the columns that the record needs, in their order.
pub fn write_row<'a>(out: &mut Vec<u8>, width: Width, columns: impl Iterator<Item = Option<&'a [u8]>>) {
    let mut number = |number: u32| out.extend_from_slice(&number.to_le_bytes());
    match width {
        Width::AsHeader => number(AS_HEADER),
        Width::Misquoted => number(MISQUOTED),
        Width::Differs { header, row } => {
            number(DIFFERS);
            number(header);
            number(row);
        }
    }
    if width == Width::AsHeader {
        for column in columns {
            // A row is at most as long as a record, far below 4 GiB.
            let len = column.map_or(NO_COLUMN, |field| field.len() as u32);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(column.unwrap_or_default());
        }
    }
}

/// The columns of one row.
#[derive(Debug, Clone)]
pub(super) struct Row<'a> {
    rest: &'a [u8],
}

impl<'a> Row<'a> {
    /// The row that [`write_row`] wrote.
    ///
    /// # Errors
    /// When the row is not as wide as its header, or its quotes do not pair up.
    pub(super) fn open(payload: &'a [u8]) -> Result<Self, RecordError<'a>> {
        let mut row = Row { rest: payload };
        match row.number() {
            AS_HEADER => Ok(row),
            DIFFERS => Err(RecordError::WrongWidth { header: row.number(), row: row.number() }),
            _ => Err(RecordError::Misquoted),
        }
    }

    /// The next column, stripped; `None` when the header does not have it.
    pub(super) fn next_column(&mut self) -> Option<&'a [u8]> {
        let len = self.number();
        if len == NO_COLUMN {
            return None;
        }
        let (field, rest) = self.rest.split_at_checked(len as usize).unwrap_or((self.rest, b""));
        self.rest = rest;
        Some(trim(field))
    }

    fn number(&mut self) -> u32 {
        match self.rest.split_first_chunk() {
            Some((number, rest)) => {
                self.rest = rest;
                u32::from_le_bytes(*number)
            }
            None => NO_COLUMN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_out_as_it_went_in_with_its_fields_stripped() {
        let mut payload = Vec::new();
        let columns = [Some(&b" a,\nb "[..]), None, Some(b"")];
        write_row(&mut payload, Width::AsHeader, columns.into_iter());
        let mut row = Row::open(&payload).unwrap();
        assert_eq!([(); 3].map(|()| row.next_column()), [Some(&b"a,\nb"[..]), None, Some(b"")]);
        assert_eq!(row.next_column(), None);
    }

    #[test]
    fn a_row_of_another_width_has_no_columns() {
        let mut payload = Vec::new();
        write_row(&mut payload, Width::Differs { header: 4, row: 3 }, [Some(&b"a"[..])].into_iter());
        assert_eq!(Row::open(&payload).unwrap_err(), RecordError::WrongWidth { header: 4, row: 3 });
    }
}
