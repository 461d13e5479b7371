//! Single-use codes, in the order of their file, for each promo or for all promos.
//!
//! The codes are in one buffer, each followed by a byte that shows whether it is used, so ten million codes need about
//! twice the size of their file.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

/// The byte after an unused code, and the byte after a used one. No code contains a control byte.
const UNUSED: u8 = b'\n';
const USED: u8 = 0;

/// The maximum size of all codes, so that a position has 4 bytes.
pub const MAX_CODE_BYTES: usize = u32::MAX as usize;

/// Codes that can be handed out.
#[derive(Debug, Default)]
pub struct Codes {
    text: Vec<u8>,
    /// The positions of the codes, by their text. Empty after [`Self::seal`].
    positions: HashTable<u32>,
    hasher: RandomState,
    /// The codes for any promo.
    shared: Option<Pool>,
    /// The codes for one promo each.
    by_promo: HashMap<Vec<u8>, Pool, RandomState>,
}

/// The codes for one promo, or for all.
#[derive(Debug, Default)]
struct Pool {
    /// The positions of the codes, in the order of their file.
    positions: Vec<u32>,
    /// The number of them that were handed out, or skipped because they were used.
    next: usize,
    /// The number of unused codes that are left.
    left: u64,
}

/// A code that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodePosition(u32);

/// A code that cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeError {
    /// It is there already.
    Duplicate,
    /// There are more than [`MAX_CODE_BYTES`] of codes.
    TooMany,
}

impl Codes {
    /// No codes, with memory for as many bytes and codes as a file has.
    pub fn with_capacity(bytes: usize, codes: usize) -> Self {
        let positions = HashTable::with_capacity(codes);
        Self { text: Vec::with_capacity(bytes), positions, ..Self::default() }
    }

    /// Adds an unused code for a promo, or for all promos. A code contains no control bytes.
    ///
    /// # Errors
    /// When the code exists, or there are too many.
    pub fn add(&mut self, promo: Option<&[u8]>, code: &[u8]) -> Result<(), CodeError> {
        if self.text.len() + code.len() >= MAX_CODE_BYTES {
            return Err(CodeError::TooMany);
        }
        let position = self.text.len() as u32;
        let (text, hasher) = (&mut self.text, &self.hasher);
        let hash = hasher.hash_one(code);
        if self.positions.find(hash, |&at| code_at(text, at) == code).is_some() {
            return Err(CodeError::Duplicate);
        }
        text.extend_from_slice(code);
        text.push(UNUSED);
        self.positions.insert_unique(hash, position, |&at| hasher.hash_one(code_at(text, at)));
        let pool = match promo {
            None => self.shared.get_or_insert_default(),
            Some(promo) => match self.by_promo.get_mut(promo) {
                Some(pool) => pool,
                None => self.by_promo.entry(promo.to_owned()).or_default(),
            },
        };
        pool.positions.push(position);
        Ok(())
    }

    /// Marks a code as used, if it is one of these. Returns false if it was used already.
    pub fn mark_used(&mut self, code: &[u8]) -> bool {
        let text = &self.text;
        let Some(&position) = self.positions.find(self.hasher.hash_one(code), |&at| code_at(text, at) == code) else {
            return true;
        };
        let end = &mut self.text[position as usize + code.len()];
        std::mem::replace(end, USED) == UNUSED
    }

    /// Ends the marking, and frees the memory that it needs.
    pub fn seal(&mut self) {
        self.positions = HashTable::new();
        let text = &self.text;
        for pool in self.shared.iter_mut().chain(self.by_promo.values_mut()) {
            pool.left = pool.positions.iter().filter(|&&at| is_unused(text, at)).count() as u64;
        }
    }

    /// Hands out the next unused code for this promo.
    ///
    /// # Panics
    /// When the codes are not sealed.
    pub fn hand_out(&mut self, promo: &[u8]) -> Option<CodePosition> {
        assert!(self.positions.is_empty(), "the codes are sealed");
        let pool = match &mut self.shared {
            Some(shared) => shared,
            None => self.by_promo.get_mut(promo)?,
        };
        // Used codes at the end are not searched again for each click.
        if pool.left == 0 {
            return None;
        }
        let (index, &position) =
            (pool.next..).zip(&pool.positions[pool.next..]).find(|(_, at)| is_unused(&self.text, **at))?;
        pool.next = index + 1;
        pool.left -= 1;
        Some(CodePosition(position))
    }

    /// The text of a code that was handed out.
    pub fn text(&self, code: CodePosition) -> &[u8] {
        code_at(&self.text, code.0)
    }

    /// The number of unused codes that are left: for each promo, or for all promos, which have no name.
    ///
    /// # Panics
    /// When the codes are not sealed.
    pub fn left(&self) -> BTreeMap<Option<&[u8]>, u64> {
        assert!(self.positions.is_empty(), "the codes are sealed");
        let shared = self.shared.iter().map(|pool| (None, pool.left));
        shared.chain(self.by_promo.iter().map(|(promo, pool)| (Some(promo.as_slice()), pool.left))).collect()
    }
}

fn code_at(text: &[u8], position: u32) -> &[u8] {
    let rest = &text[position as usize..];
    &rest[..memchr::memchr2(UNUSED, USED, rest).expect("every code is ended")]
}

fn is_unused(text: &[u8], position: u32) -> bool {
    text[position as usize + code_at(text, position).len()] == UNUSED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(all: &[(Option<&str>, &str)]) -> Codes {
        let mut codes = Codes::default();
        for (promo, code) in all {
            codes.add(promo.map(str::as_bytes), code.as_bytes()).unwrap();
        }
        codes
    }

    fn handed_out(codes: &mut Codes, promo: &str) -> Option<String> {
        codes.hand_out(promo.as_bytes()).map(|code| String::from_utf8(codes.text(code).to_vec()).unwrap())
    }

    #[test]
    fn codes_are_handed_out_in_order_and_once() {
        let mut codes = codes(&[(None, "A"), (None, "B"), (None, "C")]);
        assert!(codes.mark_used(b"B"));
        assert!(!codes.mark_used(b"B"));
        assert!(codes.mark_used(b"unknown"));
        codes.seal();
        assert_eq!(codes.left(), BTreeMap::from([(None, 2)]));
        assert_eq!(
            ["x", "y", "z"].map(|promo| handed_out(&mut codes, promo)),
            [Some("A".into()), Some("C".into()), None]
        );
        assert_eq!(codes.left(), BTreeMap::from([(None, 0)]));
    }

    #[test]
    fn each_promo_has_its_own_codes() {
        let mut codes = codes(&[(Some("x"), "A"), (Some("y"), "B"), (Some("x"), "C")]);
        codes.seal();
        assert_eq!(handed_out(&mut codes, "z"), None);
        assert_eq!(handed_out(&mut codes, "y"), Some("B".into()));
        assert_eq!(["x"; 3].map(|promo| handed_out(&mut codes, promo)), [Some("A".into()), Some("C".into()), None]);
    }

    #[test]
    fn used_codes_are_not_searched_for_each_click() {
        let names: Vec<_> = (0..20_000).map(|number| number.to_string()).collect();
        let mut codes = codes(&names.iter().map(|name| (None, name.as_str())).collect::<Vec<_>>());
        assert!(names.iter().all(|name| codes.mark_used(name.as_bytes())));
        codes.seal();
        let start = std::time::Instant::now();
        assert!((0..20_000).all(|_| codes.hand_out(b"x").is_none()));
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    }

    #[test]
    fn a_code_can_be_added_once() {
        let mut codes = codes(&[(None, "A")]);
        assert_eq!(codes.add(Some(b"x"), b"A"), Err(CodeError::Duplicate));
        assert_eq!(codes.add(None, b"a"), Ok(()));
    }
}
