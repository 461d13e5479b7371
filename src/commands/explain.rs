//! `adseg explain`: tells why customers got a code or not.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use super::emails::take_emails;
use super::inputs::Inputs;
use super::reading::{read_through, tell_skipped};
use super::session::{Ended, Session, reader_left_or, session};
use super::stories::Teller;
use crate::cli::{ExplainArgs, ReadingFormat};
use crate::computation::{Explaining, Stories};
use crate::engine::Outcome;
use crate::stdio::stdout_file;

/// Carries out `adseg explain`.
pub fn explain(mut args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let finish = session(move |session| Ok(carry_out(&mut args, session)?.map(|skipped| (args, skipped))))?;
    finish.exit_code(|(args, skipped)| {
        tell_skipped(&args.reading, skipped);
        Ok(ExitCode::SUCCESS)
    })
}

/// Gives the number of bad records that were skipped.
fn carry_out(args: &mut ExplainArgs, session: &Session) -> anyhow::Result<Ended<u64>> {
    let emails = take_emails(args)?;
    let inputs = Inputs::new(&args.reading.inputs)?;
    let computation = Explaining::new(emails.iter().map(Vec::as_slice));
    let Outcome { states, counts, numbering } = read_through(computation, inputs, &args.reading, session)?;
    let stories = Stories::collect(states);
    let teller = Teller { stories: &stories, numbering: &numbering, skipped: counts.rejects };
    match write_stories(&teller, &emails, args.format) {
        Ok(()) => Ok(Ended::Done(counts.rejects)),
        Err(error) => reader_left_or("stdout", error),
    }
}

fn write_stories(teller: &Teller<'_>, emails: &[Vec<u8>], format: ReadingFormat) -> io::Result<()> {
    let mut out = BufWriter::new(stdout_file()?);
    for (index, email) in emails.iter().enumerate() {
        match format {
            ReadingFormat::Text => {
                out.write_all(if index == 0 { b"" } else { b"\n" })?;
                teller.tell(email, &mut out)?;
            }
            ReadingFormat::Jsonl => teller.tell_in_json(email, &mut out)?,
        }
    }
    out.flush()
}
