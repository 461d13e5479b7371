//! `adseg order-check`: tells which decisions hang on the order in which the conversions files are named.

use std::process::ExitCode;

use super::FAILED;
use super::inputs::Inputs;
use super::order_report::OrderReport;
use super::reading::{read_through, tell_skipped};
use super::session::{Ended, Session, reader_left_or, session};
use crate::cli::{OrderCheckArgs, ReadingFormat};
use crate::computation::{Hanging, OrderChecking};
use crate::engine::Outcome;
use crate::source::Numbering;
use crate::stdio::stdout_file;

/// Carries out `adseg order-check`.
pub fn order_check(args: OrderCheckArgs) -> anyhow::Result<ExitCode> {
    let finish = session(move |session| Ok(carry_out(&args, session)?.map(|found| (args, found))))?;
    finish.exit_code(|(args, Found { hangs, skipped })| {
        tell_skipped(&args.reading, skipped);
        Ok(if hangs { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
    })
}

/// What the last message and the exit code hang on.
struct Found {
    hangs: bool,
    skipped: u64,
}

fn carry_out(args: &OrderCheckArgs, session: &Session) -> anyhow::Result<Ended<Found>> {
    let inputs = Inputs::new(&args.reading.inputs)?;
    let (every_click, files) = (args.all || args.format == ReadingFormat::Jsonl, inputs.conversions());
    let (hanging, numbering, skipped) = if files.len() < 2 {
        (Vec::new(), Numbering::default(), 0)
    } else {
        let Outcome { states, counts, numbering } =
            read_through(OrderChecking { every_click }, inputs, &args.reading, session)?;
        (Hanging::find(states), numbering, counts.rejects)
    };
    let report = OrderReport { files, hanging: &hanging, numbering: &numbering };
    let written = stdout_file().and_then(|out| match args.format {
        ReadingFormat::Text => report.write_text(every_click, out),
        ReadingFormat::Jsonl => report.write_jsonl(out),
    });
    match written {
        Ok(()) => Ok(Ended::Done(Found { hangs: !hanging.is_empty(), skipped })),
        Err(error) => reader_left_or("stdout", error),
    }
}
