//! `adseg generate`: writes sample data.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::files::output_id;
use super::outputs::Output;
use super::session::{Ended, Session, reader_left_or, session};
use super::usage::wrong;
use crate::cli::{GenerateArgs, SampleFormat};
use crate::messages::shown;
use crate::sample::{Events, Interleaved, Members, Mix, Settings};
use crate::sink::Rank;
use crate::source::push_frame;

/// How many bytes are written at once.
const WRITTEN_BYTES: usize = 1 << 20;

/// Carries out `adseg generate`.
pub fn generate(args: GenerateArgs) -> anyhow::Result<ExitCode> {
    session(move |session| carry_out(&args, session))?.exit_code(|()| Ok(ExitCode::SUCCESS))
}

fn carry_out(args: &GenerateArgs, session: &Session) -> anyhow::Result<Ended<()>> {
    let settings = settings(args);
    let (loyalty, conversions) = (args.loyalty.as_deref(), args.conversions.as_deref());
    let open = |path: &Path, rank| {
        let is_stdout = output_id(path) == output_id(Path::new("-"));
        if !args.force && !is_stdout && path.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return wrong(format!("{} is there already; --force replaces it", shown(path)));
        }
        Output::open(path, &session.staging, rank)
    };
    let loyalty = loyalty.map(|path| open(path, Rank::List)).transpose()?;
    let conversions = conversions.map(|path| open(path, Rank::Output)).transpose()?;
    match (loyalty, conversions) {
        (Some(both), Some(conversions)) if both.is_stdout && conversions.is_stdout => {
            let mut records = Interleaved::new(&settings);
            write(args.format, |record| records.write_next(record), both)
        }
        (loyalty, conversions) => {
            let (mut members, mut events) = (Members::new(&settings), Events::new(&settings));
            let ended = loyalty.map(|output| write(args.format, |record| members.write_next(record), output));
            if let Some(Ended::ReaderLeft) = ended.transpose()? {
                return Ok(Ended::ReaderLeft);
            }
            let ended = conversions.map(|output| write(args.format, |record| events.write_next(record), output));
            Ok(ended.transpose()?.unwrap_or(Ended::Done(())))
        }
    }
}

fn settings(args: &GenerateArgs) -> Settings {
    let [clicks, baskets, purchases] = args.mix;
    Settings {
        seed: args.seed,
        members: args.members,
        events: args.events,
        customers: args.customers.unwrap_or(args.members.saturating_mul(5)),
        mix: Mix { clicks, baskets, purchases },
        bad_per_million: args.bad.0,
    }
}

/// Writes all records that `write_next` gives.
fn write(
    format: SampleFormat,
    write_next: impl FnMut(&mut Vec<u8>) -> bool,
    output: Output,
) -> anyhow::Result<Ended<()>> {
    let name = output.name.clone();
    match write_records(format, write_next, &mut *output.into_writer()) {
        Ok(()) => Ok(Ended::Done(())),
        Err(error) => reader_left_or(&name, error),
    }
}

fn write_records(
    format: SampleFormat,
    mut write_next: impl FnMut(&mut Vec<u8>) -> bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(WRITTEN_BYTES + WRITTEN_BYTES / 8);
    loop {
        let start = buffer.len();
        let more = match format {
            SampleFormat::Text => {
                let more = write_next(&mut buffer);
                if more {
                    buffer.push(b'\n');
                }
                more
            }
            SampleFormat::Framed => {
                let mut more = false;
                push_frame(&mut buffer, |payload| more = write_next(payload));
                if !more {
                    buffer.truncate(start);
                }
                more
            }
        };
        if !more || buffer.len() >= WRITTEN_BYTES {
            out.write_all(&buffer)?;
            buffer.clear();
        }
        if !more {
            return out.flush();
        }
    }
}
