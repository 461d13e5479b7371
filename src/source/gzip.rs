//! Unpacking gzip: one member after the other, and the zeros behind the last one.
//!
//! Tapes and block devices pad an archive with zeros, and `gzip` takes no notice of them; neither is it done here.
//! Anything else behind a member has to be another member.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Unpacks all members of an archive. Can be asked again after its source had nothing.
pub(super) struct GzipDecoder<R>(At<R>);

enum At<R> {
    Member(Box<GzDecoder<R>>),
    /// Behind a member.
    Between(R),
    Padding(R),
    /// Only while one of the others takes another's place.
    Moving,
}

impl<R: BufRead> GzipDecoder<R> {
    /// Unpacks what `packed` gives, which begins with a member.
    pub(super) fn new(packed: R) -> Self {
        Self(At::Member(Box::new(GzDecoder::new(packed))))
    }
}

impl<R: BufRead> Read for GzipDecoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let next = match &mut self.0 {
                At::Member(decoder) => match decoder.read(buffer)? {
                    0 => Next::Between,
                    count => return Ok(count),
                },
                At::Between(packed) => match packed.fill_buf()?.first() {
                    None => return Ok(0),
                    Some(0) => Next::Padding,
                    Some(_) => Next::Member,
                },
                At::Padding(packed) => return skip_zeros(packed),
                At::Moving => return Ok(0),
            };
            self.0 = match (std::mem::replace(&mut self.0, At::Moving), next) {
                (At::Member(decoder), _) => At::Between(decoder.into_inner()),
                (At::Between(packed), Next::Padding) => At::Padding(packed),
                (At::Between(packed), _) => At::Member(Box::new(GzDecoder::new(packed))),
                (at, _) => at,
            };
        }
    }
}

/// What comes behind a piece of an archive.
enum Next {
    Member,
    Between,
    Padding,
}

fn skip_zeros(packed: &mut impl BufRead) -> io::Result<usize> {
    loop {
        let zeros = packed.fill_buf()?;
        let len = zeros.len();
        if len == 0 {
            return Ok(0);
        }
        if zeros.iter().any(|&byte| byte != 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "there is something behind the zeros at its end"));
        }
        packed.consume(len);
    }
}
