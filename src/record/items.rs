//! The items of a basket or a purchase: `[6;14]`.

use super::RecordError;
use super::field::{first_control, trim};

/// A checked list of item ids.
///
/// Every id is stripped, not empty, and free of `;`, brackets and control bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Items<'a> {
    /// What stands between the brackets, stripped.
    inner: &'a [u8],
}

impl<'a> Items<'a> {
    /// Takes an already stripped field as a list of items.
    ///
    /// # Errors
    /// When the brackets are missing, or an id is empty or holds a byte that no id can hold.
    #[inline]
    pub fn parse(field: &'a [u8]) -> Result<Self, RecordError<'a>> {
        let [b'[', inner @ .., b']'] = field else {
            return Err(RecordError::ItemsWithoutBrackets { items: field });
        };
        let items = Self { inner: trim(inner) };
        for id in items.iter() {
            if id.is_empty() {
                return Err(RecordError::EmptyItem { items: field });
            }
            if id.iter().any(|byte| matches!(byte, b'[' | b']')) || first_control(id).is_some() {
                return Err(RecordError::BadItem { id });
            }
        }
        Ok(items)
    }

    /// A list that was taken before, from its field. `None` when it has no brackets after all.
    pub(super) fn found_again(field: &'a [u8]) -> Option<Self> {
        let inner = field.strip_prefix(b"[")?.strip_suffix(b"]")?;
        Some(Self { inner: trim(inner) })
    }

    /// The ids, in the order in which they were written. An empty basket has none.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let ids = (!self.inner.is_empty()).then(|| self.inner.split(|&byte| byte == b';'));
        ids.into_iter().flatten().map(trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(field: &[u8]) -> Vec<&[u8]> {
        Items::parse(field).unwrap().iter().collect()
    }

    #[test]
    fn ids_are_split_at_semicolons_and_stripped() {
        assert_eq!(ids(b"[6; 14 ;a b]"), [&b"6"[..], b"14", b"a b"]);
    }

    #[test]
    fn brackets_with_nothing_or_white_space_between_are_an_empty_basket() {
        assert!(ids(b"[]").is_empty());
        assert!(ids(b"[ \t]").is_empty());
    }

    #[test]
    fn an_empty_id_is_refused_wherever_it_stands() {
        for field in [&b"[;]"[..], b"[6;]", b"[;6]", b"[6; ;9]"] {
            assert_eq!(Items::parse(field), Err(RecordError::EmptyItem { items: field }));
        }
    }

    #[test]
    fn brackets_are_required_and_do_not_nest() {
        for field in [&b""[..], b"[", b"]", b"6;9", b"[6", b"6]"] {
            assert_eq!(Items::parse(field), Err(RecordError::ItemsWithoutBrackets { items: field }));
        }
        assert_eq!(Items::parse(b"[6;[9]]"), Err(RecordError::BadItem { id: b"[9]" }));
        assert_eq!(Items::parse(b"[6;9\0]"), Err(RecordError::BadItem { id: b"9\0" }));
    }
}
