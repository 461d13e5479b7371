//! Everything the README shows is run, so that it cannot rot.
//!
//! In its `console` blocks a line that begins with `$ ` is a command, and what follows is all that it gives on both
//! streams. Commands run one after the other in a folder of their own that has the fixtures in it. To write what they
//! give now into the README, run with `UPDATE_README=1`.

#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use common::{RUN, Scratch};

/// How the README starts the program where it is not installed.
const FROM_SOURCE: &str = "cargo run --release -- ";

#[derive(Debug)]
struct Step {
    command: String,
    shown: String,
}

#[test]
fn every_command_in_the_readme_gives_what_is_shown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let steps = steps(&fs::read_to_string(root.join("README.md")).unwrap());
    assert!(steps.len() > 10, "where are the examples?");
    let scratch = Scratch::new();
    symlink(root.join("fixtures"), scratch.file("fixtures")).unwrap();
    for Step { command, shown } in steps {
        if command == "cargo test" {
            continue;
        }
        let given = run(&scratch, &command.replace(FROM_SOURCE, "adseg "));
        if std::env::var_os("UPDATE_README").is_some() && timeless(&given) != timeless(&shown) {
            let readme = fs::read_to_string(root.join("README.md")).unwrap();
            let readme = readme.replace(&format!("$ {command}\n{shown}"), &format!("$ {command}\n{given}"));
            fs::write(root.join("README.md"), readme).unwrap();
            continue;
        }
        assert_eq!(timeless(&given), timeless(&shown), "$ {command}");
    }
}

fn steps(readme: &str) -> Vec<Step> {
    let blocks = readme.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    let steps =
        blocks.flat_map(|block| block.split("\n$ ").map(|step| step.strip_prefix("$ ").unwrap_or(step))).map(|step| {
            let (command, shown) = step.split_once('\n').unwrap_or((step, ""));
            Step { command: command.to_owned(), shown: shown.trim_end_matches('\n').to_owned() }
        });
    steps.collect()
}

fn run(scratch: &Scratch, command: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_adseg")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let script = format!("exec 2>&1\n{command}");
    let output = Command::new("sh").arg("-c").arg(script).current_dir(scratch.path()).env("PATH", path).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim_end_matches('\n').to_owned()
}

/// The last line of a summary tells how long it took, which is never the same.
fn timeless(text: &str) -> String {
    let timeless = |line: &str| if line.contains(" records/s, ") { "(time)".to_owned() } else { line.to_owned() };
    text.lines().map(timeless).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_readme_names_every_subcommand_and_every_key_of_the_summary() {
    use clap::CommandFactory;
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for subcommand in adseg::cli::Cli::command().get_subcommands() {
        let name = format!("`adseg {}`", subcommand.get_name());
        assert!(readme.contains(&name), "{name}");
    }
    let json = Scratch::small_campaign().adseg(&format!("{RUN} --summary=json")).output().unwrap().stderr;
    let summary: serde_json::Value = serde_json::from_slice(&json).unwrap();
    for key in summary.as_object().unwrap().keys() {
        assert!(readme.contains(&format!("`{key}`")), "{key}");
    }
}
