//! `adseg completions` and `adseg man`: what a shell and a manual want to know of the command line.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

use super::session::{Ended, reader_left_or};
use super::usage::wrong;
use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::man::pages;
use crate::messages::shown;

/// Carries out `adseg completions`.
pub fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "adseg", &mut script);
    print(&script)
}

/// Carries out `adseg man`.
pub fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &args.dir {
        return write_pages(folder);
    }
    let name = match &args.command {
        Some(command) => format!("adseg-{}.1", command.strip_prefix("adseg-").unwrap_or(command)),
        None => "adseg.1".to_owned(),
    };
    match pages()?.into_iter().find(|page| page.file_name == name) {
        Some(page) => print(&page.roff),
        None => wrong(format!("there is no subcommand '{}'", args.command.as_deref().unwrap_or_default())),
    }
}

fn write_pages(folder: &Path) -> anyhow::Result<ExitCode> {
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot make the folder", shown(folder)))?;
    for page in pages()? {
        let path = folder.join(&page.file_name);
        fs::write(&path, &page.roff).with_context(|| format!("{}: cannot write", shown(&path)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => reader_left_or("stdout", error).map(|_: Ended<()>| ExitCode::SUCCESS),
    }
}
