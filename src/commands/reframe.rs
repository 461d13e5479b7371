//! `adseg frame` and `adseg unframe`: lines to frames and back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;

use super::inputs::Inputs;
use super::outputs::Output;
use super::session::{Ended, Session, reader_left_or, session};
use super::usage::wrong;
use crate::cli::ReframeArgs;
use crate::reframe::{Misfit, ReframeError, reframe};
use crate::sink::{Rank, Writer};
use crate::source::{Block, Blocks, Content, Framing, InputFormat, Place, Position, ReaderSettings, text_for_a_length};

/// How many buffers may wait to be written.
const QUEUED_BUFFERS: usize = 2;

/// Carries out `adseg frame`.
pub fn frame(args: ReframeArgs) -> anyhow::Result<ExitCode> {
    reframe_in_session(args, InputFormat::Text)
}

/// Carries out `adseg unframe`.
pub fn unframe(args: ReframeArgs) -> anyhow::Result<ExitCode> {
    reframe_in_session(args, InputFormat::Framed)
}

fn reframe_in_session(args: ReframeArgs, from: InputFormat) -> anyhow::Result<ExitCode> {
    session(move |session| carry_out(&args, from, session))?.exit_code(|()| Ok(ExitCode::SUCCESS))
}

fn carry_out(args: &ReframeArgs, from: InputFormat, session: &Session) -> anyhow::Result<Ended<()>> {
    let stdin = [PathBuf::from("-")];
    let inputs = Inputs::of_one_source(if args.files.is_empty() { &stdin } else { &args.files }, from)?;
    let path = args.output.as_deref().unwrap_or(Path::new("-"));
    if let Some(input) = inputs.find_output(path) {
        return wrong(format!("the output would be written over {input}, which is being read"));
    }
    let output = Output::open(path, &session.staging, Rank::Output)?;
    let name = output.name.clone();
    let settings = ReaderSettings { max_record_bytes: args.max_record_bytes as usize, ..ReaderSettings::default() };
    let blocks = Blocks::read(inputs.into_inputs(session.progress.meter()), settings)?;
    let mut writer = Writer::start(output.into_writer(), QUEUED_BUFFERS)?;
    let reframed = reframe_all(blocks, settings.max_record_bytes, &mut writer);
    // What could not be written came before whatever else went wrong.
    match writer.finish() {
        Ok(()) => reframed.map(|()| Ended::Done(())),
        Err(error) => reader_left_or(&name, error),
    }
}

fn reframe_all(mut blocks: Blocks, max_record_bytes: usize, writer: &mut Writer) -> anyhow::Result<()> {
    let (mut input, mut records) = (None, 0);
    let mut out = Vec::new();
    while let Some(block) = blocks.next() {
        let block = block?;
        if input != Some(block.input.index) {
            (input, records) = (Some(block.input.index), 0);
        }
        if block.content != Content::Records {
            let is_text = block.framing == Framing::Framed && text_for_a_length(block.bytes()).is_some();
            let error = if is_text { ReframeError::Text } else { ReframeError::TooLong(max_record_bytes) };
            return Err(misfit(&block, records, (error, 0, 0)));
        }
        let reframed = reframe(&block, max_record_bytes, &mut out);
        match writer.write(out) {
            Ok(empty) => out = empty,
            // The writer says why when it is asked to finish.
            Err(_) => return Ok(()),
        }
        records += reframed.map_err(|error| misfit(&block, records, error))?;
        blocks.recycle(block);
    }
    Ok(())
}

fn misfit(block: &Block, records_before: u64, (error, records, bytes): Misfit) -> anyhow::Error {
    let place = Place {
        framing: block.framing,
        record: records_before + records + 1,
        byte: block.offset.saturating_add(bytes),
    };
    anyhow!("{}: {error}", Position { input: block.input.name.clone(), place })
}
