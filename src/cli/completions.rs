//! `adseg completions` and `adseg man`: shell completions and man pages, generated from the arguments.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff};

use super::args::usage_error;
use crate::escape;
use crate::system::Blocking;

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  mkdir -p ~/.local/share/bash-completion/completions
  adseg completions bash > ~/.local/share/bash-completion/completions/adseg
  adseg completions fish > ~/.config/fish/completions/adseg.fish";

#[derive(Debug, Args)]
#[command(after_long_help = COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

const MAN_EXAMPLES: &str = "\
Examples:
  adseg man run | man -l -
  adseg man --dir ~/.local/share/man/man1";

#[derive(Debug, Args)]
#[command(after_long_help = MAN_EXAMPLES)]
pub struct ManArgs {
    /// The subcommand whose page is printed [default: the page of adseg]
    command: Option<String>,

    /// Write all pages to this directory
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

pub fn completions(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "adseg", &mut script);
    print(&script)
}

pub fn man(args: &ManArgs, command: Command) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &args.dir {
        return write_pages(folder, command);
    }
    let name = match &args.command {
        Some(command) => format!("adseg-{}.1", command.strip_prefix("adseg-").unwrap_or(command)),
        None => "adseg.1".to_owned(),
    };
    match (pages(command)?.into_iter().find(|(file_name, _)| *file_name == name), &args.command) {
        (Some((_, page)), _) => print(&page),
        (None, Some(command)) => usage_error(format!("unknown subcommand '{}'", escape::text(command))),
        (None, None) => unreachable!("the program has a page"),
    }
}

fn write_pages(folder: &Path, command: Command) -> anyhow::Result<ExitCode> {
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot create the directory", escape::path(folder)))?;
    for (file_name, page) in pages(command)? {
        let path = folder.join(file_name);
        fs::write(&path, page).with_context(|| format!("{}: cannot write", escape::path(&path)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints on standard output.
pub fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    let mut out = Blocking(io::stdout().lock());
    out.write_all(text).and_then(|()| out.flush()).context("stdout: cannot write")?;
    Ok(ExitCode::SUCCESS)
}

/// The page of `adseg` and one for each subcommand, with file names such as `adseg-run.1`. They are generated from the
/// clap definitions, so they agree with `--help`.
fn pages(command: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = command.disable_help_subcommand(true);
    program.build();
    let subcommands: Vec<Command> = program.get_subcommands().cloned().collect();
    [program].into_iter().chain(subcommands).map(page).collect()
}

fn page(command: Command) -> io::Result<(String, Vec<u8>)> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let closing = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let has_subcommands = command.has_subcommands();
    let source = concat!("adseg ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).title(name.to_uppercase()).source(source).manual("adseg manual");

    let mut roff = Vec::new();
    man.render_title(&mut roff)?;
    man.render_name_section(&mut roff)?;
    man.render_synopsis_section(&mut roff)?;
    man.render_description_section(&mut roff)?;
    man.render_options_section(&mut roff)?;
    if has_subcommands {
        man.render_subcommands_section(&mut roff)?;
    }
    render_closing(&closing, &mut roff)?;
    Ok((format!("{name}.1"), roff))
}

/// Renders the examples and the exit codes from the end of the help, with their layout.
fn render_closing(closing: &str, out: &mut impl Write) -> io::Result<()> {
    let mut roff = Roff::default();
    for paragraph in closing.split("\n\n") {
        let (heading, lines) = match paragraph.split_once(":\n") {
            Some((heading, lines)) if !heading.starts_with(' ') => (Some(heading), lines),
            _ => (None, paragraph),
        };
        if let Some(heading) = heading {
            roff.control("SH", [heading.to_uppercase().as_str()]);
        }
        roff.control("PP", []).control("nf", []);
        for line in lines.lines() {
            roff.text([Inline::Roman(line.to_owned())]);
        }
        roff.control("fi", []);
    }
    roff.to_writer(out)
}
