//! Which of the record kinds a record is, and the checks that hold for all of them.

use super::field::Fields;
use super::{Conversion, ConversionKind, Customer, RecordError};

/// A decoded record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// A row of the loyalty list.
    Customer(Customer<'a>),
    /// A click, a basket or a purchase.
    Conversion(Conversion<'a>),
}

/// What the records of a source are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Loyalty customers.
    Customers,
    /// Conversions.
    Conversions,
    /// Both, in arrival order. A record whose second field is a conversion type is a conversion, every other one is a
    /// loyalty customer.
    Either,
}

/// How the fields of a record are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Separated by commas, without quoting.
    Commas,
    /// As columns that [`super::write_row`] wrote.
    Columns,
}

impl<'a> Customer<'a> {
    /// Decodes one loyalty row that is laid out like this.
    ///
    /// # Errors
    /// When the row is bad; see [`RecordError`].
    #[inline(always)]
    pub fn decode_as(layout: Layout, fields: Fields<'a>) -> Result<Self, RecordError<'a>> {
        match layout {
            Layout::Commas => Self::decode_fields(fields),
            Layout::Columns => Self::decode_row(fields.record()),
        }
    }
}

impl<'a> Conversion<'a> {
    /// Decodes one conversion that is laid out like this.
    ///
    /// # Errors
    /// When the conversion is bad; see [`RecordError`].
    #[inline(always)]
    pub fn decode_as(layout: Layout, fields: Fields<'a>) -> Result<Self, RecordError<'a>> {
        match layout {
            Layout::Commas => Self::decode_fields(fields),
            Layout::Columns => Self::decode_row(fields.record()),
        }
    }
}

/// Decodes the records of one source.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    /// What the source holds.
    pub expected: Expected,
    /// How the fields of its records are laid out.
    pub layout: Layout,
    /// The longest record that is taken, in bytes, without line feed or frame header.
    pub max_record_bytes: usize,
}

impl Decoder {
    /// Decodes one record, which is not a blank line.
    ///
    /// # Errors
    /// When the record is bad; see [`RecordError`].
    pub fn decode<'a>(&self, record: &'a [u8]) -> Result<Record<'a>, RecordError<'a>> {
        self.decode_fields(Fields::of(record))
    }

    /// The same of a record whose fields may have been told apart already.
    ///
    /// # Errors
    /// As [`Self::decode`].
    #[inline(always)]
    pub fn decode_fields<'a>(&self, fields: Fields<'a>) -> Result<Record<'a>, RecordError<'a>> {
        let record = fields.record();
        if record.is_empty() {
            return Err(RecordError::Empty);
        }
        // The length of a row was looked at where it was taken apart.
        if self.layout == Layout::Commas && record.len() > self.max_record_bytes {
            return Err(RecordError::TooLong { limit: self.max_record_bytes });
        }
        let conversion = match self.expected {
            Expected::Conversions => true,
            Expected::Customers => false,
            Expected::Either => looks_like_a_conversion(fields.clone()),
        };
        if conversion {
            Conversion::decode_as(self.layout, fields).map(Record::Conversion)
        } else {
            Customer::decode_as(self.layout, fields).map(Record::Customer)
        }
    }
}

fn looks_like_a_conversion(mut fields: Fields<'_>) -> bool {
    fields.nth(1).and_then(ConversionKind::from_name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_mixed_stream_the_second_field_tells_what_a_record_is() {
        let decoder = Decoder { expected: Expected::Either, layout: Layout::Commas, max_record_bytes: 100 };
        assert!(matches!(decoder.decode(b"P, ClickConversion, a@x, w"), Ok(Record::Conversion(_))));
        assert!(matches!(decoder.decode(b"a@x, ClikConversion, , M"), Ok(Record::Customer(_))));
        assert!(matches!(decoder.decode(b"P, PurchaseConversion"), Err(RecordError::TooFewFields { found: 2, .. })));
    }

    #[test]
    fn the_limit_counts_the_bytes_of_the_record() {
        let decoder = Decoder { expected: Expected::Customers, layout: Layout::Commas, max_record_bytes: 6 };
        assert!(decoder.decode(b"a,b,,c").is_ok());
        assert_eq!(decoder.decode(b"a,b,,cd"), Err(RecordError::TooLong { limit: 6 }));
    }
}
