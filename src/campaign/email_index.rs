//! The emails of one partition, each with a number in order of first appearance.
//!
//! An open-addressing hash table. A slot has 8 bytes: a part of the hash, and the position of the email in one buffer.
//! A lookup costs one cache miss if the email is not found and two if it is found. An email needs its length and about
//! 20 bytes. The full hash is not stored: when the table grows, it hashes the emails again in the order of the buffer,
//! which is cheaper than eight more bytes for each email.

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::LazyLock;

use foldhash::quality::RandomState;

use crate::lanes;

/// The number of a customer in its partition: 0, 1, 2 … in order of first appearance.
pub type CustomerNumber = u32;

/// The hash of an email, for one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EmailHash(pub u64);

/// Hashes emails with a random key for each process, so an attacker cannot prepare emails with colliding hashes. All
/// hashers of a process that treat case alike give an email the same hash.
#[derive(Debug, Clone)]
pub struct EmailHasher {
    key: RandomState,
    ignores_case: bool,
}

static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::default);

impl Default for EmailHasher {
    fn default() -> Self {
        Self::new(false)
    }
}

/// The length up to which an email is converted to lower case without an allocation.
const SHORT_EMAIL: usize = 64;

impl EmailHasher {
    /// A hasher that gives emails that differ only in ASCII case the same hash if `ignores_case`.
    pub fn new(ignores_case: bool) -> Self {
        Self { key: KEY.clone(), ignores_case }
    }

    /// The hash of `email`.
    #[inline]
    pub fn hash(&self, email: &[u8]) -> EmailHash {
        if self.ignores_case && lanes::any(email, lanes::upper_case) {
            return self.hash_lower_case(email);
        }
        let mut hasher = self.key.build_hasher();
        hasher.write(email);
        EmailHash(hasher.finish())
    }

    /// Whether emails that differ only in ASCII case have the same hash.
    pub const fn ignores_case(&self) -> bool {
        self.ignores_case
    }

    #[inline(never)]
    fn hash_lower_case(&self, email: &[u8]) -> EmailHash {
        let mut hasher = self.key.build_hasher();
        with_lower_case(email, |lower| hasher.write(lower));
        EmailHash(hasher.finish())
    }
}

/// Calls `use_lower` with the email in ASCII lower case.
pub fn with_lower_case<T>(email: &[u8], use_lower: impl FnOnce(&[u8]) -> T) -> T {
    let mut short = [0; SHORT_EMAIL];
    match short.get_mut(..email.len()) {
        Some(lower) => {
            lower.copy_from_slice(email);
            lower.make_ascii_lowercase();
            use_lower(lower)
        }
        None => use_lower(&email.to_ascii_lowercase()),
    }
}

/// Assigns emails to partitions.
#[derive(Debug, Clone)]
pub struct Partitioner {
    pub hasher: EmailHasher,
    pub partitions: NonZeroU32,
}

impl Partitioner {
    /// The partition of the email with this hash. It depends on the upper half of the hash; the tables use the lower
    /// half.
    #[inline]
    pub const fn partition(&self, hash: EmailHash) -> usize {
        (((hash.0 >> 32) * self.partitions.get() as u64) >> 32) as usize
    }
}

/// Bits of a slot for the position of the entry. They suffice for 1 TiB of emails in one partition.
const POSITION_BITS: u32 = 40;
const POSITION_MASK: u64 = (1 << POSITION_BITS) - 1;

/// Bits of the hash that the tag skips: the lower ones pick the slot, the upper ones the partition.
const TAG_SHIFT: u32 = 30;

/// All ones, not zeros: a new zero page that is read before it is written has two page faults instead of one.
const EMPTY: u64 = u64::MAX;
const FIRST_SLOTS: usize = 16;

/// The maximum load of a table, in eighths. Most probes then stay within one or two cache lines.
const MAX_FULL_EIGHTHS: usize = 5;

/// Emails, each with its number.
#[derive(Debug)]
pub struct EmailIndex {
    hasher: EmailHasher,
    /// Whether emails that differ only in ASCII case are the same. The first spelling is kept.
    ignores_case: bool,
    /// A power of two of slots: `tag << POSITION_BITS | position`, or `EMPTY`.
    slots: Vec<u64>,
    /// The entries, one after the other.
    entries: Vec<u8>,
    len: CustomerNumber,
}

/// One entry as it is stored: the number, the length of the email, the email.
struct Entry<'a> {
    number: CustomerNumber,
    email: &'a [u8],
    end: usize,
}

const NUMBER_BYTES: usize = 4;

/// The usual length of an entry. It may span two cache lines.
const USUAL_ENTRY_BYTES: usize = 30;

/// Marks a length that does not fit into one byte and follows in four bytes.
const LONG: u8 = 0xff;
const LONG_BYTES: usize = 4;

impl EmailIndex {
    /// An empty index that compares emails byte for byte.
    pub fn new(hasher: EmailHasher) -> Self {
        Self::with_case(hasher, false)
    }

    /// An empty index. If it ignores case, the hasher must, too.
    pub fn with_case(hasher: EmailHasher, ignores_case: bool) -> Self {
        assert!(hasher.ignores_case || !ignores_case, "equal emails need equal hashes");
        Self { hasher, ignores_case, slots: vec![EMPTY; FIRST_SLOTS], entries: Vec::new(), len: 0 }
    }

    /// The number of `email`, if it is in the index. `hash` must be its hash by the hasher of the index.
    #[inline]
    pub fn find(&self, hash: EmailHash, email: &[u8]) -> Option<CustomerNumber> {
        self.probe(hash, email).ok()
    }

    /// Adds `email` unless it is in the index. Returns its number, and whether it is new.
    pub fn insert(&mut self, hash: EmailHash, email: &[u8]) -> (CustomerNumber, bool) {
        match self.probe(hash, email) {
            Ok(number) => (number, false),
            Err(free) => {
                let number = self.len;
                // More need over 100 GiB in this partition alone: 64 GiB of slots, and at least 10 bytes for each entry.
                self.len = number.checked_add(1).expect("a partition has fewer than 2^32 customers");
                let position = self.append(number, email);
                self.slots[free] = slot_of(hash, position);
                if self.len as usize > self.slots.len() / 8 * MAX_FULL_EIGHTHS {
                    self.grow();
                }
                (number, true)
            }
        }
    }

    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// The emails by their numbers.
    pub fn emails(&self) -> impl Iterator<Item = &[u8]> {
        self.entries_in_order().map(|(_, entry)| entry.email)
    }

    /// Prefetches the slots and entries for a chunk of hashes, so their cache misses overlap: first all slots, then
    /// both ends of the entries with the same tag.
    #[inline]
    pub fn prefetch(&self, hashes: impl Iterator<Item = EmailHash> + Clone) {
        black_box(hashes.clone().fold(0, |read, hash| read ^ self.read_slot(hash)));
        black_box(hashes.fold(0, |read, hash| read ^ self.read_entry(hash)));
    }

    /// Reads the slot where the search for a hash begins, to prefetch it.
    #[inline]
    pub fn read_slot(&self, hash: EmailHash) -> u64 {
        self.slots[self.home(hash)]
    }

    /// Reads both ends of the entry with the tag of a hash, if there is one, to prefetch them.
    #[inline]
    pub fn read_entry(&self, hash: EmailHash) -> u8 {
        // The last entry may be shorter than usual.
        let byte = |position: usize| self.entries.get(position).copied().unwrap_or(0);
        self.tagged(hash, self.home(hash))
            .map_or(0, |(_, position)| byte(position) ^ byte(position + USUAL_ENTRY_BYTES))
    }

    /// The number of `email`, or the free slot for it.
    #[inline]
    fn probe(&self, hash: EmailHash, email: &[u8]) -> Result<CustomerNumber, usize> {
        let mut from = self.home(hash);
        loop {
            let (at, position) = self.tagged(hash, from)?;
            let entry = self.entry(position);
            if lanes::equal(entry.email, email) || (self.ignores_case && entry.email.eq_ignore_ascii_case(email)) {
                return Ok(entry.number);
            }
            from = at + 1;
        }
    }

    /// The first slot from `from` on with the tag of this hash, and the position of its entry; or the free slot that
    /// ends the search. There always is one, because the table is never full.
    #[inline]
    fn tagged(&self, hash: EmailHash, from: usize) -> Result<(usize, usize), usize> {
        let tag = slot_of(hash, 0);
        let mut at = from;
        loop {
            at &= self.mask();
            let slot = self.slots[at];
            if slot == EMPTY {
                return Err(at);
            }
            if slot & !POSITION_MASK == tag {
                return Ok((at, (slot & POSITION_MASK) as usize));
            }
            at += 1;
        }
    }

    /// The slot where the search for a hash begins.
    #[inline]
    const fn home(&self, hash: EmailHash) -> usize {
        hash.0 as usize & self.mask()
    }

    #[inline]
    const fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    #[inline]
    fn entry(&self, position: usize) -> Entry<'_> {
        const COMPLETE: &str = "entries are stored completely";
        let (number, rest) = self.entries[position..].split_first_chunk::<NUMBER_BYTES>().expect(COMPLETE);
        let (&short, rest) = rest.split_first().expect(COMPLETE);
        let (len, header, rest) = if short == LONG {
            let (len, rest) = rest.split_first_chunk::<LONG_BYTES>().expect(COMPLETE);
            (u32::from_le_bytes(*len) as usize, NUMBER_BYTES + 1 + LONG_BYTES, rest)
        } else {
            (short as usize, NUMBER_BYTES + 1, rest)
        };
        Entry { number: u32::from_le_bytes(*number), email: &rest[..len], end: position + header + len }
    }

    /// Appends an entry and returns its position.
    fn append(&mut self, number: CustomerNumber, email: &[u8]) -> usize {
        let position = self.entries.len();
        assert!((position as u64) < POSITION_MASK, "a partition has less than 1 TiB of emails in memory");
        self.entries.extend_from_slice(&number.to_le_bytes());
        match u8::try_from(email.len()) {
            Ok(short) if short != LONG => self.entries.push(short),
            _ => {
                let len =
                    u32::try_from(email.len()).expect("an email is no longer than a record, which is at most 1 GiB");
                self.entries.push(LONG);
                self.entries.extend_from_slice(&len.to_le_bytes());
            }
        }
        lanes::push(email, &mut self.entries);
        position
    }

    /// The entries by their numbers, each with its position.
    fn entries_in_order(&self) -> impl Iterator<Item = (usize, Entry<'_>)> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let position = next;
            let entry = (position < self.entries.len()).then(|| self.entry(position))?;
            next = entry.end;
            Some((position, entry))
        })
    }

    #[cold]
    fn grow(&mut self) {
        let mut slots = vec![EMPTY; self.slots.len() * 2];
        let mask = slots.len() - 1;
        for (position, entry) in self.entries_in_order() {
            let hash = self.hasher.hash(entry.email);
            let mut at = hash.0 as usize & mask;
            while slots[at] != EMPTY {
                at = (at + 1) & mask;
            }
            slots[at] = slot_of(hash, position);
        }
        self.slots = slots;
    }
}

const fn slot_of(hash: EmailHash, position: usize) -> u64 {
    (hash.0 >> TAG_SHIFT) << POSITION_BITS | position as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(index: &mut EmailIndex, email: &[u8]) -> (CustomerNumber, bool) {
        index.insert(index.hasher.hash(email), email)
    }

    #[test]
    fn numbers_follow_first_appearance_while_the_table_grows() {
        let mut index = EmailIndex::new(EmailHasher::default());
        let email = |number: u32| format!("customer{number}@example.com");
        for number in 0..10_000 {
            assert_eq!(insert(&mut index, email(number).as_bytes()), (number, true));
        }
        for number in 0..10_000 {
            let (email, unknown) = (email(number), format!("unknown{number}@example.com"));
            assert_eq!(insert(&mut index, email.as_bytes()), (number, false));
            assert_eq!(index.find(index.hasher.hash(unknown.as_bytes()), unknown.as_bytes()), None);
        }
        assert!(index.emails().map(<[u8]>::to_vec).eq((0..10_000).map(|number| email(number).into_bytes())));
    }

    #[test]
    fn emails_of_any_length_are_kept() {
        let mut index = EmailIndex::new(EmailHasher::default());
        let emails: Vec<Vec<u8>> = [1, 253, 254, 255, 256, 70_000].map(|len| vec![b'x'; len]).into();
        for email in &emails {
            assert!(insert(&mut index, email).1);
        }
        assert!(index.emails().eq(emails.iter()));
        assert!(emails.iter().all(|email| !insert(&mut index, email).1));
    }

    #[test]
    fn emails_with_equal_hashes_are_distinguished() {
        let mut index = EmailIndex::new(EmailHasher::default());
        let same = EmailHash(0x1234_5678_9abc_def0);
        assert_eq!(index.insert(same, b"a"), (0, true));
        assert_eq!(index.insert(same, b"b"), (1, true));
        assert_eq!(index.find(same, b"b"), Some(1));
        assert_eq!(index.find(same, b"c"), None);
    }
}
