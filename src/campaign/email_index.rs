//! The set of emails that one partition knows, each with a number in order of first appearance.
//!
//! An open-addressing table whose slots are 8 bytes: part of the hash and the place of the email in one long run of
//! bytes. A look-up that finds nothing costs one cache miss, one that finds the email costs two, and a member costs
//! its email and some twenty bytes more. The hash is not kept whole: a table that grows walks the emails in the order
//! in which they lie and hashes them again, which is cheaper than eight more bytes for everybody.

use std::hint::black_box;

use crate::partition::{EmailHash, EmailHasher};

/// The number of a member in its partition: 0, 1, 2 … in order of first appearance.
pub type MemberNumber = u32;

/// Bits of a slot that hold the place of the entry: 2^40 bytes of emails in one partition are beyond any machine.
const PLACE_BITS: u32 = 40;
const PLACE_MASK: u64 = (1 << PLACE_BITS) - 1;

/// Bits of the hash that the tag skips: what is below them picks the slot, and the upper ones pick the partition.
const TAG_SHIFT: u32 = 30;

/// Ones and not zeros: the system gives fresh zeros as pages that are not there yet, and a table that is looked at before
/// it is written to has each of them faulted in twice.
const EMPTY: u64 = u64::MAX;
const FIRST_SLOTS: usize = 16;

/// A table is at most this full, in eighths: probing stays within a cache line or two.
const FULL_EIGHTHS: usize = 5;

/// Emails, each with its number.
#[derive(Debug)]
pub struct EmailIndex {
    hasher: EmailHasher,
    /// A power of two of slots: `tag << PLACE_BITS | place`, or `EMPTY`.
    slots: Vec<u64>,
    /// The entries behind each other.
    entries: Vec<u8>,
    members: MemberNumber,
}

/// One entry as it lies in the bytes: the number, the length of the email, the email.
struct Entry<'a> {
    number: MemberNumber,
    email: &'a [u8],
    end: usize,
}

const NUMBER_BYTES: usize = 4;

/// How far an entry reaches as a rule: its end may lie in another cache line than its beginning.
const USUAL_ENTRY_BYTES: usize = 30;

/// What stands for the length of an email that one byte cannot tell: the length follows in four bytes.
const LONG: u8 = 0xff;
const LONG_BYTES: usize = 4;

impl EmailIndex {
    /// An index without an email.
    pub fn new(hasher: EmailHasher) -> Self {
        Self { hasher, slots: vec![EMPTY; FIRST_SLOTS], entries: Vec::new(), members: 0 }
    }

    /// The number of `email`, if it is known. `hash` is its hash by the index's hasher.
    #[inline]
    pub fn find(&self, hash: EmailHash, email: &[u8]) -> Option<MemberNumber> {
        self.probe(hash, email).ok()
    }

    /// Adds `email` unless it is known. Gives its number, and whether it is new.
    pub fn insert(&mut self, hash: EmailHash, email: &[u8]) -> (MemberNumber, bool) {
        match self.probe(hash, email) {
            Ok(number) => (number, false),
            Err(free) => {
                let number = self.members;
                let place = self.append(number, email);
                if let Some(slot) = self.slots.get_mut(free) {
                    *slot = slot_of(hash, place);
                }
                // Four thousand million emails in one partition are beyond any machine's memory.
                self.members = number.saturating_add(1);
                if self.members as usize > self.slots.len() / 8 * FULL_EIGHTHS {
                    self.grow();
                }
                (number, true)
            }
        }
    }

    /// How many emails are known.
    pub const fn len(&self) -> usize {
        self.members as usize
    }

    /// The emails by their numbers.
    pub fn emails(&self) -> impl Iterator<Item = &[u8]> {
        self.entries_in_order().map(|(_, entry)| entry.email)
    }

    /// Touches what looking for these hashes will touch, so that the cache misses of a whole group overlap instead of
    /// being waited for one by one: first every slot, then, behind the slots that have the tag, both ends of every entry.
    #[inline]
    pub fn warm(&self, hashes: impl Iterator<Item = EmailHash> + Clone) {
        let byte = |place: usize| self.entries.get(place).copied().unwrap_or_default();
        black_box(hashes.clone().fold(EMPTY, |touched, hash| touched ^ self.slot(self.home(hash))));
        let entries = hashes.filter_map(|hash| self.tagged(hash, self.home(hash)).ok());
        black_box(entries.fold(0, |touched, (_, place)| touched ^ byte(place) ^ byte(place + USUAL_ENTRY_BYTES)));
    }

    /// The number of `email`, or the free slot where it belongs.
    #[inline]
    fn probe(&self, hash: EmailHash, email: &[u8]) -> Result<MemberNumber, usize> {
        let mut from = self.home(hash);
        loop {
            let (at, place) = self.tagged(hash, from)?;
            if let Some(entry) = self.entry(place)
                && entry.email == email
            {
                return Ok(entry.number);
            }
            from = at + 1;
        }
    }

    /// The first slot at or behind `from` with the tag of this hash, and the place of its entry; or the free slot that ends
    /// the search. The table is never full, so there is one.
    #[inline]
    fn tagged(&self, hash: EmailHash, from: usize) -> Result<(usize, usize), usize> {
        let tag = slot_of(hash, 0);
        let mut at = from;
        loop {
            at &= self.mask();
            let slot = self.slot(at);
            if slot == EMPTY {
                return Err(at);
            }
            if slot & !PLACE_MASK == tag {
                return Ok((at, (slot & PLACE_MASK) as usize));
            }
            at += 1;
        }
    }

    /// Where the search for a hash begins.
    #[inline]
    const fn home(&self, hash: EmailHash) -> usize {
        hash.0 as usize & self.mask()
    }

    #[inline]
    const fn mask(&self) -> usize {
        self.slots.len().wrapping_sub(1)
    }

    #[inline]
    fn slot(&self, at: usize) -> u64 {
        self.slots.get(at).copied().unwrap_or(EMPTY)
    }

    #[inline]
    fn entry(&self, place: usize) -> Option<Entry<'_>> {
        let bytes = self.entries.get(place..)?;
        let (number, rest) = bytes.split_first_chunk::<NUMBER_BYTES>()?;
        let (&short, rest) = rest.split_first()?;
        let (len, start, rest) = if short == LONG {
            let (len, rest) = rest.split_first_chunk::<LONG_BYTES>()?;
            (u32::from_le_bytes(*len) as usize, NUMBER_BYTES + 1 + LONG_BYTES, rest)
        } else {
            (short as usize, NUMBER_BYTES + 1, rest)
        };
        let email = rest.get(..len)?;
        Some(Entry { number: u32::from_le_bytes(*number), email, end: place + start + len })
    }

    /// Writes an entry behind the others and gives its place.
    fn append(&mut self, number: MemberNumber, email: &[u8]) -> usize {
        let place = self.entries.len();
        self.entries.extend_from_slice(&number.to_le_bytes());
        match u8::try_from(email.len()) {
            Ok(short) if short != LONG => self.entries.push(short),
            // A record is at most 1 GiB long, and so is an email.
            _ => {
                self.entries.push(LONG);
                self.entries.extend_from_slice(&(email.len() as u32).to_le_bytes());
            }
        }
        self.entries.extend_from_slice(email);
        place
    }

    fn entries_in_order(&self) -> impl Iterator<Item = (usize, Entry<'_>)> {
        let mut place = 0;
        std::iter::from_fn(move || {
            let entry = self.entry(place)?;
            let at = std::mem::replace(&mut place, entry.end);
            Some((at, entry))
        })
    }

    #[cold]
    fn grow(&mut self) {
        let mut slots = vec![EMPTY; self.slots.len() * 2];
        let mask = slots.len().wrapping_sub(1);
        for (place, entry) in self.entries_in_order() {
            let hash = self.hasher.hash(entry.email);
            let mut at = hash.0 as usize & mask;
            while let Some(slot) = slots.get_mut(at) {
                if *slot == EMPTY {
                    *slot = slot_of(hash, place);
                    break;
                }
                at = (at + 1) & mask;
            }
        }
        self.slots = slots;
    }
}

const fn slot_of(hash: EmailHash, place: usize) -> u64 {
    (hash.0 >> TAG_SHIFT) << PLACE_BITS | (place as u64 & PLACE_MASK)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn insert(index: &mut EmailIndex, email: &[u8]) -> (MemberNumber, bool) {
        index.insert(index.hasher.hash(email), email)
    }

    #[test]
    fn numbers_follow_first_appearance_through_every_growth() {
        let mut index = EmailIndex::new(EmailHasher::default());
        let email = |number: u32| format!("customer{number}@example.com");
        for number in 0..10_000 {
            assert_eq!(insert(&mut index, email(number).as_bytes()), (number, true));
        }
        for number in 0..10_000 {
            let (email, stranger) = (email(number), format!("stranger{number}@example.com"));
            assert_eq!(insert(&mut index, email.as_bytes()), (number, false));
            assert_eq!(index.find(index.hasher.hash(stranger.as_bytes()), stranger.as_bytes()), None);
        }
        assert!(index.emails().map(<[u8]>::to_vec).eq((0..10_000).map(|number| email(number).into_bytes())));
    }

    #[test]
    fn emails_of_any_length_are_kept_whole() {
        let mut index = EmailIndex::new(EmailHasher::default());
        let emails: Vec<Vec<u8>> = [1, 253, 254, 255, 256, 70_000].map(|len| vec![b'x'; len]).into();
        for email in &emails {
            assert!(insert(&mut index, email).1);
        }
        assert!(index.emails().eq(emails.iter()));
        assert!(emails.iter().all(|email| !insert(&mut index, email).1));
    }

    #[test]
    fn emails_whose_hashes_collide_are_told_apart() {
        let mut index = EmailIndex::new(EmailHasher::default());
        let same = EmailHash(0x1234_5678_9abc_def0);
        assert_eq!(index.insert(same, b"a"), (0, true));
        assert_eq!(index.insert(same, b"b"), (1, true));
        assert_eq!(index.find(same, b"b"), Some(1));
        assert_eq!(index.find(same, b"c"), None);
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_a_map(emails in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..4), 0..400)) {
            let mut index = EmailIndex::new(EmailHasher::default());
            let mut map: HashMap<Vec<u8>, MemberNumber> = HashMap::new();
            for email in emails {
                let next = map.len() as MemberNumber;
                let known = map.get(&email).copied();
                prop_assert_eq!(insert(&mut index, &email), (known.unwrap_or(next), known.is_none()));
                map.entry(email).or_insert(next);
            }
            prop_assert_eq!(index.len(), map.len());
        }
    }
}
