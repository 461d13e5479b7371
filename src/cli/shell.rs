//! The arguments of `adseg completions` and `adseg man`.

use std::path::PathBuf;

use clap::Args;

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  mkdir -p ~/.local/share/bash-completion/completions
  adseg completions bash > ~/.local/share/bash-completion/completions/adseg
  adseg completions fish > ~/.config/fish/completions/adseg.fish";

/// The arguments of `adseg completions`.
#[derive(Debug, Args)]
#[command(after_long_help = COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

const MAN_EXAMPLES: &str = "\
Examples:
  adseg man run | man -l -
  adseg man --dir ~/.local/share/man/man1";

/// The arguments of `adseg man`.
#[derive(Debug, Args)]
#[command(after_long_help = MAN_EXAMPLES)]
pub struct ManArgs {
    /// The subcommand whose page is printed; without one, the page of adseg itself
    pub command: Option<String>,

    /// Write all pages into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub dir: Option<PathBuf>,
}
