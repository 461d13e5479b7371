//! Every command that the README shows is run, so its output stays true.
//!
//! In a `console` block, a line that begins with `$ ` is a command. What follows is everything that it prints on both
//! streams. All commands run in one scratch directory, which contains the fixtures. To write the actual output into
//! the README, run with `UPDATE_README=1`.

#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::{RUN, Scratch, assert_same, text};

/// How the README starts the program before it is installed.
const FROM_SOURCE: &str = "cargo run --release -- ";

struct Example {
    command: String,
    output: String,
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

fn readme() -> String {
    fs::read_to_string(path()).unwrap()
}

fn examples(readme: &str) -> Vec<Example> {
    let blocks = readme.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    let examples = blocks.flat_map(|block| block.strip_prefix("$ ").unwrap_or(block).split("\n$ ")).map(|example| {
        let (command, output) = example.split_once('\n').unwrap_or((example, ""));
        Example { command: command.to_owned(), output: output.trim_end_matches('\n').to_owned() }
    });
    examples.collect()
}

/// The last line of a summary has a duration, which always differs.
fn without_duration(output: &str) -> String {
    let line = |line: &str| if line.contains(" records/s, ") { "(time)".to_owned() } else { line.to_owned() };
    output.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_readme_command_prints_what_is_shown() {
    let examples = examples(&readme());
    assert!(examples.len() > 10, "the examples are missing");
    let scratch = Scratch::new();
    symlink(path().with_file_name("fixtures"), scratch.file("fixtures")).unwrap();
    for Example { command, output } in examples {
        if command == "cargo test" {
            continue;
        }
        let script = format!("exec 2>&1\n{}", command.replace(FROM_SOURCE, "adseg "));
        let actual = text(scratch.sh(&script).output().unwrap().stdout);
        let actual = actual.trim_end_matches('\n');
        if std::env::var_os("UPDATE_README").is_some() && without_duration(actual) != without_duration(&output) {
            let updated = readme().replace(&format!("$ {command}\n{output}"), &format!("$ {command}\n{actual}"));
            fs::write(path(), updated).unwrap();
            continue;
        }
        assert_same(without_duration(actual), without_duration(&output), &format!("$ {command}"));
    }
}

#[test]
fn readme_names_every_subcommand_and_summary_key() {
    let readme = readme();
    let scratch = Scratch::small_campaign();
    let help = scratch.run("--help").stdout;
    let commands = help.split("\nCommands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let names = commands.lines().filter(is_name).map(|line| line.split_whitespace().next().unwrap());
    let names: Vec<_> = names.filter(|name| *name != "help").collect();
    assert!(names.len() > 5, "{help}");
    for name in names {
        assert!(readme.contains(&format!("`adseg {name}`")), "{name}");
    }
    let json = scratch.run(&format!("{RUN} --summary=json")).stderr;
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    for key in summary.as_object().unwrap().keys() {
        assert!(readme.contains(&format!("`{key}`")), "{key}");
    }
}
