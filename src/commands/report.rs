//! `adseg report`: counts what the campaign did, and tells it.

use std::path::Path;
use std::process::ExitCode;

use super::inputs::Inputs;
use super::outputs::Output;
use super::reading::{read_through, tell_skipped};
use super::session::{Ended, Session, reader_left_or, session};
use super::usage::wrong;
use crate::cli::{ReportArgs, ReportFormat};
use crate::computation::{Reported, Reporting};
use crate::report::{csv, json, page, tables, text};
use crate::sink::Rank;
use crate::tally::Totals;

/// Carries out `adseg report`.
pub fn report(args: ReportArgs) -> anyhow::Result<ExitCode> {
    let finish = session(move |session| Ok(carry_out(&args, session)?.map(|rejects| (args, rejects))))?;
    finish.exit_code(|(args, rejects)| {
        tell_skipped(&args.reading, rejects);
        Ok(ExitCode::SUCCESS)
    })
}

/// Says how many records were skipped.
fn carry_out(args: &ReportArgs, session: &Session) -> anyhow::Result<Ended<u64>> {
    let inputs = Inputs::new(&args.reading.inputs)?;
    let report = open(args.output.as_deref().unwrap_or(Path::new("-")), &inputs, session)?;
    let html = args.html.as_deref().map(|path| open(path, &inputs, session)).transpose()?;
    if report.is_stdout && html.as_ref().is_some_and(|html| html.is_stdout) {
        return wrong("the report and the page cannot both go to the standard output; give one a file");
    }
    let outcome = read_through(Reporting, inputs, &args.reading, session)?;
    let totals = Totals::of(outcome.states.into_iter().map(Reported::into_tallies).collect());
    let tables = tables(&totals, &outcome.counts);
    let written = match args.format {
        ReportFormat::Text => text(&tables, args.top).into_bytes(),
        ReportFormat::Json => json(&tables)?.into_bytes(),
        ReportFormat::Csv => csv(&tables),
    };
    let page = html.map(|html| (html, page(&tables, args.top).into_bytes()));
    for (output, bytes) in page.into_iter().chain([(report, written)]) {
        let name = output.name.clone();
        let mut out = output.into_writer();
        if let Err(error) = out.write_all(&bytes).and_then(|()| out.flush()) {
            return reader_left_or(&name, error);
        }
    }
    Ok(Ended::Done(outcome.counts.rejects))
}

/// Opens an output, which is no input.
fn open(path: &Path, inputs: &Inputs, session: &Session) -> anyhow::Result<Output> {
    match inputs.find_output(path) {
        Some(input) => wrong(format!("the report would be written over {input}, which is being read")),
        None => Output::open(path, &session.staging, Rank::Output),
    }
}
