//! The man pages, made from the command line's own types, so that they cannot say anything else.

use std::io::{self, Write};

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff};

use crate::cli::Cli;

/// One page: the name of its file and its text.
#[derive(Debug)]
pub struct Page {
    /// For instance `adseg-run.1`.
    pub file_name: String,
    /// The page as roff source.
    pub roff: Vec<u8>,
}

/// The page of `adseg` and one for each subcommand.
///
/// # Errors
/// Never in practice: the pages are written to memory.
pub fn pages() -> io::Result<Vec<Page>> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let subcommands: Vec<Command> = program.get_subcommands().cloned().collect();
    [program].into_iter().chain(subcommands).map(page).collect()
}

fn page(command: Command) -> io::Result<Page> {
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
    Ok(Page { file_name: format!("{name}.1"), roff })
}

/// Renders the examples and the exit codes that close the help. They are laid out by hand and stay so.
fn render_closing(closing: &str, out: &mut impl Write) -> io::Result<()> {
    let mut roff = Roff::default();
    for section in closing.split("\n\n").flat_map(split_heading) {
        match section {
            Part::Heading(heading) => roff.control("SH", [heading.to_uppercase().as_str()]),
            Part::Lines(lines) => {
                roff.control("PP", []).control("nf", []);
                for line in lines.lines() {
                    roff.text([Inline::Roman(line.to_owned())]);
                }
                roff.control("fi", [])
            }
        };
    }
    roff.to_writer(out)
}

enum Part<'a> {
    Heading(&'a str),
    Lines(&'a str),
}

/// A paragraph that begins with `Examples:` or the like is a section with that heading.
fn split_heading(paragraph: &str) -> Vec<Part<'_>> {
    match paragraph.split_once(":\n") {
        Some((heading, lines)) if !heading.starts_with(' ') => vec![Part::Heading(heading), Part::Lines(lines)],
        _ => vec![Part::Lines(paragraph)],
    }
}
