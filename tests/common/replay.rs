//! The engine in a form that can be held against the model: from bytes in memory to everything that a user could see.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use adseg::campaign::Keep;
use adseg::computation::Deciding;
use adseg::encoder::{DecisionEncoder, write_list};
use adseg::engine::{Counts, Failure, Job, Observer, Settings, replay};
use adseg::sink::Rejection;
use adseg::source::{
    BYTE_ORDER_MARK, Feed, Framing, Input, InputFormat, Origin, Patience, Position, SourceError, looks_packed,
};

use super::model::{ModelInput, Told};

/// Hands an input over in pieces, with and without more waiting, as the turns say.
#[derive(Debug)]
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    turns: Vec<(usize, bool)>,
    turn: usize,
}

impl Feed for Pieces {
    fn read(&mut self, buffer: &mut [u8], patience: Patience) -> io::Result<usize> {
        self.turn += 1;
        let (piece, is_there) = self.turns[self.turn % self.turns.len()];
        if patience == Patience::TakeWhatIsThere && !is_there {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = piece.min(buffer.len()).min(self.bytes.len() - self.at);
        buffer[..len].copy_from_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Remembers the bad records.
#[derive(Debug, Default)]
struct Memory(Vec<(usize, u64, u64, Vec<u8>)>);

fn place(position: &Position) -> (usize, u64, u64) {
    (position.input.parse().unwrap(), position.place.record, position.place.byte)
}

impl Observer for Memory {
    fn advanced(&mut self, _counts: &Counts) {}

    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        let (input, record, byte) = place(&rejection.position);
        self.0.push((input, record, byte, rejection.raw.to_vec()));
        Ok(())
    }

    fn rejected_more(&mut self, raw: &[u8]) -> io::Result<()> {
        self.0.last_mut().unwrap().3.extend_from_slice(raw);
        Ok(())
    }

    fn damaged(&mut self, error: &SourceError) -> io::Result<()> {
        panic!("{error}")
    }
}

/// What the engine tells of `inputs`, which arrive in pieces as the turns say.
pub fn engine(inputs: &[ModelInput], settings: &Settings, turns: &[(usize, bool)]) -> Told {
    let feed = |input: &ModelInput| Pieces { bytes: input.bytes.clone(), at: 0, turns: turns.to_vec(), turn: 0 };
    let named = inputs.iter().enumerate().map(|(index, input)| Input {
        name: index.to_string(),
        expected: input.expected,
        format: match input.framing {
            Framing::Text => InputFormat::Text,
            Framing::Framed => InputFormat::Framed,
            Framing::Csv => InputFormat::Csv,
        },
        origin: Origin::Feed(Box::new(feed(input))),
        meter: Arc::default(),
    });
    let job = Job { computation: Deciding { keep: Keep::Rows }, encoder: DecisionEncoder::default() };
    let (output, mut memory) = (Shared::default(), Memory::default());
    let ended = replay(&job, settings, named.collect(), Box::new(output.clone()), &mut memory);
    let mut told = Told { output: output.0.lock().unwrap().clone(), rejects: memory.0, ..Told::default() };
    match ended {
        Ok(outcome) => {
            told.records = outcome.counts.records;
            told.blanks = outcome.counts.blanks;
            told.decisions = outcome.counts.conversions();
            told.loyalty_rows = outcome.counts.customers;
            write_list(&outcome.states, usize::MAX, &mut told.saved).unwrap();
            let Counts { records, blanks, rejects, customers, bytes, .. } = outcome.counts;
            assert_eq!(records, outcome.counts.conversions() + customers + rejects + blanks, "nothing is lost");
            let is_counted_whole = |input: &ModelInput| {
                let begins_otherwise = input.bytes.starts_with(BYTE_ORDER_MARK) || looks_packed(&input.bytes);
                input.framing != Framing::Csv && !begins_otherwise
            };
            if inputs.iter().all(is_counted_whole) {
                // Neither the header row of a table nor a byte-order mark is a record, and archives are counted unpacked.
                assert_eq!(bytes, inputs.iter().map(|input| input.bytes.len() as u64).sum::<u64>());
            }
        }
        Err(Failure::BadRecord { position, .. }) => told.stopped = Some(place(&position)),
        Err(Failure::Source(SourceError::CutFrame { at, .. })) => told.cut = Some(place(&at)),
        Err(failure) => told.failed = Some(failure.to_string()),
    }
    told
}

/// A run that ended early has no counts and saves no list.
pub fn visible(told: Told) -> Told {
    if told.stopped.is_none() && told.cut.is_none() && told.failed.is_none() {
        return told;
    }
    let Told { output, rejects, stopped, cut, failed, .. } = told;
    Told { output, rejects, stopped, cut, failed, ..Told::default() }
}
