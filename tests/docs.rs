//! Runs every command that README.md and docs/*.md show, and compares its output with the page.
//!
//! In a `console` block, a line that begins with `$ ` is a command; it continues on the next line after a `\`. The
//! lines below it are its output on both streams. A block whose opening fence names a file (`sh nightly.sh`) is written
//! to that file. The blocks of a page run in order, in one scratch folder for each page that has `fixtures` in it. The
//! commands of other programs in recipes.md and policy.md are such files, which are run by the scripts in tests/recipes/ and not here.
//! `UPDATE_DOCS=1` writes the current output into the pages.

#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{RUN, Scratch};
use serde_json::Value;

/// How the README starts the program where it is not installed.
const FROM_SOURCE: &str = "cargo run --release -- ";

/// Commands that would start this test again.
const NOT_RUN: [&str; 1] = ["cargo test"];

/// A page is the concatenation of its parts.
#[derive(Debug)]
enum Part {
    Prose(String),
    File { name: String, content: String },
    Command { command: String, output: String },
}

#[test]
fn every_command_in_the_docs_gives_the_output_shown() {
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let mut differences = Vec::new();
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        let mut parts = parts(&page);
        assert_eq!(render(&parts), page, "{} is parsed without a loss", path.display());
        for (command, shown, given) in run_page(&mut parts) {
            differences.push(format!("{}\n$ {command}\n--- shown\n{shown}--- given\n{given}", path.display()));
        }
        if update {
            fs::write(&path, render(&parts)).unwrap();
        }
    }
    assert!(update || differences.is_empty(), "UPDATE_DOCS=1 rewrites these:\n\n{}", differences.join("\n"));
}

/// README.md and all pages in docs/.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn parts(page: &str) -> Vec<Part> {
    let mut parts = vec![Part::Prose(String::new())];
    let mut lines = page.split_inclusive('\n');
    while let Some(line) = lines.next() {
        append_prose(&mut parts, line);
        let Some(info) = line.trim_end().strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let mut body = Vec::new();
        let close = loop {
            match lines.next().expect("every block is closed") {
                fence if fence.starts_with("```") => break fence,
                line => body.push(line),
            }
        };
        match info.split_once(' ') {
            Some((_language, name)) => parts.push(Part::File { name: name.to_owned(), content: body.concat() }),
            None if info == "console" => parts.extend(commands(&body)),
            None => append_prose(&mut parts, &body.concat()),
        }
        append_prose(&mut parts, close);
    }
    parts
}

fn append_prose(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Prose(prose)) => prose.push_str(text),
        _ => parts.push(Part::Prose(text.to_owned())),
    }
}

fn commands(body: &[&str]) -> Vec<Part> {
    let mut commands = Vec::new();
    let mut lines = body.iter().peekable();
    while let Some(line) = lines.next() {
        let mut command = line.strip_prefix("$ ").expect("a console block begins with a command").to_owned();
        while command.ends_with("\\\n") {
            command.push_str(lines.next().expect("the command continues"));
        }
        let mut output = String::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            output.push_str(line);
        }
        commands.push(Part::Command { command: command.trim_end().to_owned(), output });
    }
    commands
}

fn render(parts: &[Part]) -> String {
    let render = |part: &Part| match part {
        Part::Prose(text) => text.clone(),
        Part::File { content, .. } => content.clone(),
        Part::Command { command, output } => format!("$ {command}\n{output}"),
    };
    parts.iter().map(render).collect()
}

/// Runs the commands of one page in order. Returns those whose output differs, as (command, shown, given), and replaces
/// the output that is shown by the output that is given.
fn run_page(parts: &mut [Part]) -> Vec<(String, String, String)> {
    let scratch = Scratch::new();
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"), scratch.file("fixtures")).unwrap();
    let mut differences = Vec::new();
    for part in parts {
        match part {
            Part::Prose(_) => {}
            Part::File { name, content } => _ = scratch.write(name, content),
            Part::Command { command, .. } if NOT_RUN.contains(&command.as_str()) => {}
            Part::Command { command, output } => {
                let given = run(&scratch, &command.replace(FROM_SOURCE, "adseg "));
                if without_times(&given) != without_times(output) {
                    let shown = std::mem::replace(output, given.clone());
                    differences.push((command.clone(), shown, given));
                }
            }
        }
    }
    differences
}

fn run(scratch: &Scratch, command: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_adseg")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let script = format!("exec 2>&1\n{command}");
    let output = Command::new("sh").arg("-c").arg(script).current_dir(scratch.path()).env("PATH", path).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// A summary ends with how long the run took, which differs from run to run.
fn without_times(text: &str) -> String {
    let without_time = |line: &str| if line.contains(" records/s, ") { "(time)".to_owned() } else { line.to_owned() };
    text.lines().map(without_time).collect::<Vec<_>>().join("\n")
}

/// The scripts in tests/recipes/ run the blocks of recipes.md and policy.md that need other programs.
#[test]
fn every_recipe_for_other_programs_has_a_script() {
    let page = page("docs/recipes.md");
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes");
    let scripts = fs::read_dir(recipes).unwrap().map(|script| fs::read_to_string(script.unwrap().path()).unwrap());
    let scripts = scripts.collect::<String>();
    let (_, section) = page.split_once("\n## Pipes from elsewhere\n").unwrap();
    let policy = crate::page("docs/policy.md");
    let needs_program = |name: &&str| ["postgres", "duckdb"].iter().any(|program| name.starts_with(program));
    let of_policy = policy.lines().filter_map(|line| line.strip_prefix("```sh ")).filter(needs_program);
    let blocks: Vec<_> = section.lines().filter_map(|line| line.strip_prefix("```sh ")).chain(of_policy).collect();
    assert!(blocks.len() >= 13, "{blocks:?}");
    for name in blocks {
        assert!(scripts.contains(&format!("block {name}\n")), "no script runs {name}");
    }
}

#[test]
fn readme_names_every_subcommand() {
    let readme = page("README.md");
    let help = Scratch::new().adseg("--help").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let commands = help.split_once("Commands:\n").unwrap().1.split_once("\n\nOptions:").unwrap().0;
    let names =
        commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    let names: Vec<_> = names.filter(|name| *name != "help").collect();
    assert!(names.contains(&"run") && names.len() >= 10, "{names:?}");
    for name in names {
        assert!(readme.contains(&format!("`adseg {name}`")), "README.md does not name {name}");
    }
}

#[test]
fn outputs_page_defines_every_summary_key() {
    let outputs = page("docs/outputs.md");
    let json = Scratch::small_campaign().adseg(&format!("{RUN} --summary=json")).output().unwrap().stderr;
    let summary: Value = serde_json::from_slice(&json).unwrap();
    for key in summary.as_object().unwrap().keys() {
        assert!(outputs.contains(&format!("| `{key}` | ")), "docs/outputs.md does not define {key}");
    }
}

#[test]
fn report_page_defines_every_figure() {
    let page = page("docs/report.md");
    let report = "report --loyalty loyalty.txt --conversions conversions.txt --format csv";
    let csv = Scratch::small_campaign().adseg(report).output().unwrap().stdout;
    let csv = String::from_utf8(csv).unwrap();
    let rows: Vec<Vec<_>> = csv.lines().skip(1).map(|row| row.split(',').collect()).collect();
    assert!(rows.len() > 50, "{csv}");
    for row in rows {
        let definition = format!("| `{}` | `{}` | ", row[0], row[3]);
        assert!(page.contains(&definition), "docs/report.md does not define {definition}");
    }
}

#[test]
fn every_link_in_the_docs_points_to_a_file() {
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        let targets = page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: {target}", path.display());
            if !heading.is_empty() {
                let headings = fs::read_to_string(&file).unwrap();
                assert!(headings.lines().any(|line| anchor(line) == heading), "{}: {target}", path.display());
            }
        }
    }
}

/// The anchor that GitHub gives a heading.
fn anchor(line: &str) -> String {
    let kept =
        line.trim_start_matches('#').trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}
