//! The encoding of a ledger row: one line of CSV. A promo of JSON Lines can contain any character, so control characters
//! and backslashes of promos are escaped. Then a quote that is not closed can never include another row.

use std::borrow::Cow;

use super::ledger::{LedgerOutcome, LedgerRow};
use crate::escape::push_csv_field;
use crate::lanes;

impl LedgerRow<'_> {
    /// Appends the row as a line to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (outcome, code): (&[u8], _) = match self.outcome {
            LedgerOutcome::Sent { code } => (b"sent", code),
            LedgerOutcome::HeldOut => (b"held-out", &[][..]),
        };
        for field in [self.run, &escape_promo(self.promo), self.email, outcome] {
            push_csv_field(field, out);
            out.push(b',');
        }
        push_csv_field(code, out);
        out.push(b'\n');
    }
}

/// A promo with `\\` for a backslash and `\xNN` for a control byte.
fn escape_promo(promo: &[u8]) -> Cow<'_, [u8]> {
    let is_escaped = |byte: &u8| *byte == b'\\' || byte.is_ascii_control();
    if !lanes::any(promo, |lanes| lanes::one_of(*b"\\")(lanes) | lanes::controls(lanes)) {
        return promo.into();
    }
    let mut escaped = Vec::with_capacity(promo.len() + 8);
    for byte in promo {
        match byte {
            b'\\' => escaped.extend_from_slice(br"\\"),
            byte if is_escaped(byte) => escaped.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            byte => escaped.push(*byte),
        }
    }
    escaped.into()
}

/// The promo that was escaped. `None` if it has another form.
pub fn unescape_promo(escaped: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(mut at) = memchr::memchr(b'\\', escaped) else { return Some(escaped.into()) };
    let (mut promo, mut rest) = (Vec::with_capacity(escaped.len()), escaped);
    loop {
        promo.extend_from_slice(&rest[..at]);
        match &rest[at + 1..] {
            [b'\\', after @ ..] => {
                promo.push(b'\\');
                rest = after;
            }
            [b'x', high, low, after @ ..] => {
                promo.push(u8::from_str_radix(str::from_utf8(&[*high, *low]).ok()?, 16).ok()?);
                rest = after;
            }
            _ => return None,
        }
        let Some(next) = memchr::memchr(b'\\', rest) else {
            promo.extend_from_slice(rest);
            return Some(promo.into());
        };
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promo_is_one_line_and_is_read_back() {
        for promo in [&b"P"[..], b"", b"a\nb\r\0\x7f", br"a\nb\\", br"\x0a", b"\xff\\", b"\\"] {
            let mut line = Vec::new();
            LedgerRow { run: b"r", promo, email: b"a@x", outcome: LedgerOutcome::HeldOut }.encode(&mut line);
            assert_eq!(line.iter().filter(|byte| byte.is_ascii_control()).count(), 1);
            assert_eq!(unescape_promo(&escape_promo(promo)).as_deref(), Some(promo));
        }
        assert_eq!(escape_promo(b"a\\\n"), &br"a\\\x0a"[..]);
        for invalid in [&br"\"[..], br"\n", br"a\x0", br"\xzz"] {
            assert_eq!(unescape_promo(invalid), None);
        }
    }
}
