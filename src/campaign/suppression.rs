//! The suppression list: the emails, and the digests of emails, that must not be sent a code.
//!
//! Emails are compared without regard to case. At gmail.com and googlemail.com, which are one provider, dots and
//! a `+tag` in the local part do not matter either. When in doubt, an email is suppressed.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hint::black_box;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::email_index::{EmailHash, EmailHasher, EmailIndex, Partitioner};
use crate::record::field::ascii_lower_case;
use crate::record::{MD5_DIGITS, is_digest};

/// The domains of one provider. The first one is used in keys.
const GMAIL: [&[u8]; 2] = [b"gmail.com", b"googlemail.com"];

/// The form in which emails and digests are compared: in lower case, and for Gmail without dots and tag. An email has
/// an `@` and a digest has none, so they never have the same key.
pub fn suppression_key(value: &[u8]) -> Cow<'_, [u8]> {
    let lower = lower_case(value);
    match gmail_local_part(&lower) {
        Some(local) => [local.as_slice(), b"@", GMAIL[0]].concat().into(),
        None => lower,
    }
}

/// The value in the lower case of Unicode, in which both forms of a small sigma are one. Other bytes are kept.
fn lower_case(value: &[u8]) -> Cow<'_, [u8]> {
    if value.is_ascii() {
        return ascii_lower_case(value);
    }
    let mut lower = Vec::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        for char in chunk.valid().chars().flat_map(char::to_lowercase) {
            let char = if char == 'ς' { 'σ' } else { char };
            lower.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
        lower.extend_from_slice(chunk.invalid());
    }
    lower.into()
}

/// The forms of an email in lower case that others may have made a digest of.
fn digested_forms(email: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let mut forms = vec![ascii_lower_case(email)];
    if !email.is_ascii() {
        forms.push(lower_case(email));
        forms.extend(str::from_utf8(email).ok().map(|text| text.to_lowercase().into_bytes().into()));
    }
    let gmail: Vec<_> = forms.iter().filter_map(|form| gmail_local_part(form)).collect();
    forms.extend(gmail.iter().flat_map(|local| GMAIL.map(|domain| [local, &b"@"[..], domain].concat().into())));
    forms
}

/// The local part of a Gmail address, without dots and tag. The email is in lower case. `None` for other emails.
fn gmail_local_part(email: &[u8]) -> Option<Vec<u8>> {
    let at = memchr::memrchr(b'@', email)?;
    let (local, domain) = (&email[..at], &email[at + 1..]);
    if !GMAIL.contains(&domain) {
        return None;
    }
    let untagged = local.split(|&byte| byte == b'+').next().expect("a split has a first piece");
    Some(untagged.iter().copied().filter(|&byte| byte != b'.').collect())
}

/// The suppressed emails and digests of one partition.
#[derive(Debug)]
pub struct SuppressedEmails {
    keys: EmailIndex,
    has_md5: bool,
    has_sha256: bool,
    /// The files with at least one entry.
    files: BTreeSet<usize>,
}

impl SuppressedEmails {
    /// No emails.
    pub fn new(hasher: EmailHasher) -> Self {
        Self { keys: EmailIndex::new(hasher), has_md5: false, has_sha256: false, files: BTreeSet::new() }
    }

    /// Remembers that a file has entries. `file` is its number in the order of the files.
    pub fn add_file(&mut self, file: usize) {
        self.files.insert(file);
    }

    /// Adds an email or a digest, which is in the partition of its [`suppression_key`].
    pub fn add(&mut self, hash: EmailHash, value: &[u8]) {
        if is_digest(value) {
            self.has_md5 |= value.len() == MD5_DIGITS;
            self.has_sha256 |= value.len() != MD5_DIGITS;
        }
        self.keys.insert(hash, &suppression_key(value));
    }
}

/// A suppression list.
#[derive(Debug)]
pub struct SuppressionList {
    partitioner: Partitioner,
    /// By partition.
    partitions: Vec<SuppressedEmails>,
    has_md5: bool,
    has_sha256: bool,
}

impl SuppressionList {
    /// The list with these partitions.
    pub fn new(partitioner: Partitioner, partitions: Vec<SuppressedEmails>) -> Self {
        let [has_md5, has_sha256] = [|part: &SuppressedEmails| part.has_md5, |part: &SuppressedEmails| part.has_sha256]
            .map(|has| partitions.iter().any(has));
        Self { partitioner, partitions, has_md5, has_sha256 }
    }

    /// Whether a file, by its number in the order of the files, has at least one entry.
    pub fn has_entries_of(&self, file: usize) -> bool {
        self.partitions.iter().any(|partition| partition.files.contains(&file))
    }

    /// The number of different emails and digests.
    pub fn entries(&self) -> usize {
        self.partitions.iter().map(|partition| partition.keys.len()).sum()
    }

    /// Whether each email is on the list, itself or as a digest. Several at a time, so their cache misses overlap.
    pub fn contains_each<'a>(&self, emails: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = bool> {
        let keys: Vec<_> = emails.map(|email| (email, suppression_key(email))).collect();
        let places: Vec<_> = keys.iter().map(|(_, key)| self.place(key)).collect();
        black_box(places.iter().fold(0, |read, &(partition, hash)| read ^ partition.read_slot(hash)));
        black_box(places.iter().fold(0, |read, &(partition, hash)| read ^ partition.read_entry(hash)));
        keys.into_iter().zip(places).map(|((email, key), (partition, hash))| {
            partition.find(hash, &key).is_some() || self.contains_digest(email)
        })
    }

    fn contains_digest(&self, email: &[u8]) -> bool {
        (self.has_md5 || self.has_sha256) && digested_forms(email).iter().any(|form| self.contains_digest_of(form))
    }

    fn contains_digest_of(&self, email: &[u8]) -> bool {
        (self.has_md5 && self.contains_key(&hex(&Md5::digest(email))))
            || (self.has_sha256 && self.contains_key(&hex(&Sha256::digest(email))))
    }

    fn contains_key(&self, key: &[u8]) -> bool {
        let (partition, hash) = self.place(key);
        partition.find(hash, key).is_some()
    }

    /// The partition of a key, and its hash.
    fn place(&self, key: &[u8]) -> (&EmailIndex, EmailHash) {
        let hash = self.partitioner.hasher.hash(key);
        (&self.partitions[self.partitioner.partition(hash)].keys, hash)
    }
}

/// A digest in hexadecimal digits, in lower case.
pub fn hex(digest: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    digest.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]]).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    impl SuppressionList {
        fn contains(&self, email: &[u8]) -> bool {
            self.contains_each([email].into_iter()).next().unwrap()
        }
    }

    fn list(values: &[&str]) -> SuppressionList {
        let partitioner = Partitioner { hasher: EmailHasher::default(), partitions: NonZeroU32::MIN };
        let mut emails = SuppressedEmails::new(partitioner.hasher.clone());
        for value in values.iter().map(|value| value.as_bytes()) {
            emails.add(partitioner.hasher.hash(&suppression_key(value)), value);
        }
        SuppressionList::new(partitioner, vec![emails])
    }

    #[test]
    fn emails_are_suppressed_in_any_case() {
        let list = list(&["Kim@Example.com", "kim@example.COM"]);
        assert_eq!(list.entries(), 1);
        assert!(list.contains(b"kIM@example.com"));
        assert!(!list.contains(b"k.im@example.com"));
        assert!(!list.contains(b"kim+ad@example.com"));
    }

    #[test]
    fn gmail_addresses_match_without_dots_and_tag() {
        let list = list(&["Kim.Lee+news@googlemail.com"]);
        for email in ["kimlee@gmail.com", "k.i.m.lee@GoogleMail.com", "KIMLEE+x+y@gmail.com"] {
            assert!(list.contains(email.as_bytes()), "{email}");
        }
        for email in ["kimle@gmail.com", "kim.lee@example.com", "kimlee@gmail.com.example.com", "kimlee"] {
            assert!(!list.contains(email.as_bytes()), "{email}");
        }
    }

    #[test]
    fn digests_match_the_email_and_its_gmail_forms() {
        let list = list(&[
            &String::from_utf8(hex(&Md5::digest(b"kim@example.com"))).unwrap().to_ascii_uppercase(),
            &String::from_utf8(hex(&Sha256::digest(b"kimlee@gmail.com"))).unwrap(),
        ]);
        assert!(list.contains(b"Kim@example.com"));
        assert!(list.contains(b"kim.lee+ad@googlemail.com"));
        assert!(!list.contains(b"lee@example.com"));
    }

    #[test]
    fn emails_beyond_ascii_are_suppressed_in_any_case() {
        let emails = list(&["\u{c9}va@B\u{dc}cher.de", "ΝΙΚΟΣ@x.gr"]);
        for email in ["\u{e9}va@b\u{fc}cher.de", "\u{c9}VA@b\u{fc}cher.de", "νικος@x.gr", "νικοσ@X.gr"] {
            assert!(emails.contains(email.as_bytes()), "{email}");
        }
        assert!(!emails.contains("eva@b\u{fc}cher.de".as_bytes()));
        assert!(list(&["\u{c9}@x"]).contains("\u{c9}@X".as_bytes()));
        for digested in ["\u{c9}va@x", "\u{e9}va@x"] {
            let digests = list(&[&String::from_utf8(hex(&Sha256::digest(digested.as_bytes()))).unwrap()]);
            assert!(digests.contains("\u{c9}Va@x".as_bytes()), "{digested}");
        }
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        assert_eq!(hex(&Md5::digest(b"abc")), b"900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hex(&Sha256::digest(b"abc")), b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
