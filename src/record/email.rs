//! The email address that identifies a customer everywhere.

use super::RecordError;
use super::field::first_control;

/// A customer's email: at least one byte, no control byte, stripped.
///
/// Two emails are the same customer only when every byte is the same, case and all. That no line feed can hide in one
/// is what keeps a record from forging a line of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Email<'a>(&'a [u8]);

impl<'a> Email<'a> {
    /// Takes an already stripped field as an email.
    ///
    /// # Errors
    /// When the field is empty or holds a control byte.
    #[inline]
    pub fn parse(field: &'a [u8]) -> Result<Self, RecordError<'a>> {
        if field.is_empty() {
            return Err(RecordError::EmptyEmail);
        }
        match first_control(field) {
            None => Ok(Self(field)),
            Some(byte) => Err(RecordError::ControlInEmail { email: field, byte }),
        }
    }

    /// Takes a field that was not split at commas as an email.
    ///
    /// # Errors
    /// As [`Self::parse`], and when there is a comma in it.
    pub fn parse_unsplit(field: &'a [u8]) -> Result<Self, RecordError<'a>> {
        if field.contains(&b',') {
            return Err(RecordError::CommaInEmail { email: field });
        }
        Self::parse(field)
    }

    /// An email that was taken before.
    pub(super) const fn found_again(field: &'a [u8]) -> Self {
        Self(field)
    }

    /// The bytes of the email.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}
