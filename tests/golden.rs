//! Golden cases: every folder in `fixtures/` is a test. `fixtures/README.md` says what a folder may hold.
//!
//! Each case runs with several numbers of partitions and threads, and must always give the same bytes. To write what
//! `adseg` gives now as what is expected, run with `UPDATE_FIXTURES=1` and look at the difference.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{RUN, Scratch};
use serde_json::Value;

/// Partitions and threads, as arguments.
const NUMBERS: [&str; 4] =
    ["", "--partitions 1 --threads 1", "--partitions 3 --threads 2", "--partitions 1000 --threads 8"];

/// What is not an input of the command but says what to expect of it.
const EXPECTATIONS: [&str; 5] = ["args.txt", "expected.txt", "stderr.txt", "exit-code.txt", "README.md"];

type Files = BTreeMap<String, Vec<u8>>;

/// Everything that a run gives.
#[derive(Debug, PartialEq)]
struct Given {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    code: i32,
    /// Files that the run made or changed.
    files: Files,
}

#[test]
fn every_fixture_gives_the_expected_bytes_for_any_number_of_partitions_and_threads() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let mut failures = Vec::new();
    for case in cases() {
        for (index, numbers) in NUMBERS.into_iter().enumerate() {
            let given = give(&case, numbers);
            if update && index == 0 {
                bless(&case, &given);
            }
            if let Some(difference) = difference(&expected(&case), &given) {
                let name = case.file_name().unwrap().to_string_lossy();
                failures.push(format!("fixtures/{name} {numbers}\n{difference}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn check_passes_a_fixture_if_and_only_if_run_takes_it() {
    let mut taken = 0;
    for (case, inputs) in cases_with_both_sources() {
        let code = |command: &str| give_args(&case, &format!("{command} {inputs}")).code;
        let (run, check) = (code("run"), code("check"));
        assert_eq!(run, check, "{}", case.display());
        taken += usize::from(run == 0);
    }
    assert!(taken > 10, "where are the fixtures?");
}

#[test]
fn explain_tells_of_every_email_of_a_fixture_what_run_wrote() {
    let mut answered = 0;
    for (case, inputs) in cases_with_both_sources() {
        let (scratch, stdin) = scratch_of(&case);
        let give = |command: &str| {
            let mut command = scratch.adseg(&format!("{command} {inputs} --on-error skip"));
            command.write_stdin(stdin.clone()).output().unwrap()
        };
        let run = give("run --save-loyalty members.saved");
        if !run.status.success() {
            let explain = give("explain a@example.com");
            let [told, expected] = [explain.stderr, run.stderr].map(|told| String::from_utf8(told).unwrap());
            assert_eq!((explain.status, told), (run.status, expected), "{}", case.display());
            continue;
        }
        let answers: Vec<(&[u8], bool)> = run.stdout.split(|&byte| byte == b'\n').filter_map(answer).collect();
        let members = fs::read(scratch.file("members.saved")).unwrap();
        let members: Vec<&[u8]> = members.split(|&byte| byte == b'\n').filter(|row| !row.is_empty()).collect();
        let listed = members.iter().filter_map(|row| row.split(|&byte| byte == b',').next());
        let emails: Vec<&[u8]> = answers.iter().map(|(email, _)| *email).chain(listed).collect();
        scratch.write("emails.asked", [b"\n", emails.join(&b'\n').as_slice()].concat());

        let told = String::from_utf8(give("explain --emails emails.asked --format jsonl").stdout).unwrap();
        let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let files: Vec<&str> = inputs.split_whitespace().map(|name| if name == "-" { "stdin" } else { name }).collect();
        let place = |line: &Value| {
            let file = files.iter().position(|file| line["file"] == *file).unwrap();
            (file, line["line"].as_u64().or(line["frame"].as_u64()).unwrap())
        };
        let mut decided: Vec<&Value> = told.iter().filter(|line| line["conversion"].is_string()).collect();
        decided.sort_by_key(|line| place(line));
        let decided: Vec<_> = decided.iter().map(|line| (line["email"].clone(), line["send"].clone())).collect();
        let expected: Vec<_> = answers
            .iter()
            .map(|(email, send)| (Value::from(String::from_utf8_lossy(email)), Value::from(*send)))
            .collect();
        assert_eq!(decided, expected, "{}", case.display());
        let since = told.iter().filter(|line| line["member_since"].is_object()).count();
        assert_eq!(since, members.len(), "{}", case.display());
        answered += answers.len();
    }
    assert!(answered > 100, "where are the fixtures?");
}

/// The email and the answer of a line that `run` wrote.
fn answer(line: &[u8]) -> Option<(&[u8], bool)> {
    let line = line.strip_prefix(b"Send additional promo code to: ")?;
    line.strip_suffix(b", True")
        .map(|email| (email, true))
        .or(line.strip_suffix(b", False").map(|email| (email, false)))
}

/// The cases whose commands read a loyalty list and conversions, with the arguments that say which.
fn cases_with_both_sources() -> impl Iterator<Item = (PathBuf, String)> {
    let with_inputs = cases().into_iter().map(|case| {
        let inputs = input_args(&args(&case));
        (case, inputs)
    });
    with_inputs.filter(|(_, inputs)| ["--loyalty ", "--conversions "].iter().all(|source| inputs.contains(source)))
}

fn input_args(args: &str) -> String {
    let (mut inputs, mut wanted) = (String::new(), false);
    for arg in args.split_whitespace().skip(1).skip_while(|arg| !arg.starts_with("--")) {
        wanted = if arg.starts_with('-') && arg.len() > 1 { INPUT_ARGS.contains(&arg) } else { wanted };
        if wanted {
            inputs += &format!(" {arg}");
        }
    }
    inputs
}

/// The arguments that say what is read.
const INPUT_ARGS: [&str; 6] =
    ["--loyalty", "--conversions", "--input-format", "--loyalty-format", "--conversions-format", "--max-record-bytes"];

fn args(case: &Path) -> String {
    fs::read_to_string(case.join("args.txt")).unwrap_or_else(|_| RUN.to_owned())
}

fn cases() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut cases: Vec<_> = fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.is_dir());
    cases.sort();
    assert!(cases.len() > 10, "where are the fixtures?");
    cases
}

/// Runs the command of a case in a copy of its folder.
fn give(case: &Path, numbers: &str) -> Given {
    let args = args(case);
    let takes_numbers = ["run", "check", "report", "order-check", "explain"].iter().any(|name| args.starts_with(name));
    give_args(case, &if takes_numbers { format!("{args} {numbers}") } else { args })
}

/// Runs a command with these arguments in a copy of the folder of a case.
fn give_args(case: &Path, args: &str) -> Given {
    let (scratch, stdin) = scratch_of(case);
    let inputs = inputs_of(case);
    let mut command = scratch.adseg(args);
    command.write_stdin(stdin);
    let output = command.output().unwrap();
    let mut files = Files::new();
    for name in scratch.names() {
        let path = scratch.file(&name);
        if path.is_dir() {
            files.extend(read_folder(&path).into_iter().map(|(file, content)| (format!("{name}/{file}"), content)));
        } else {
            files.insert(name.clone(), fs::read(path).unwrap());
        }
    }
    files.retain(|name, content| inputs.get(name) != Some(content));
    for name in inputs.keys() {
        assert!(scratch.file(name).exists(), "{}: {name} is gone", case.display());
    }
    Given { stdout: output.stdout, stderr: output.stderr, code: output.status.code().unwrap(), files }
}

/// A copy of the folder of a case without its expectations, and what the case has for the standard input.
fn scratch_of(case: &Path) -> (Scratch, Vec<u8>) {
    let (scratch, inputs) = (Scratch::new(), inputs_of(case));
    for (name, content) in &inputs {
        scratch.write(name, content);
    }
    let stdin = inputs.into_iter().find(|(name, _)| name.starts_with("stdin."));
    (scratch, stdin.map(|(_, bytes)| bytes).unwrap_or_default())
}

fn inputs_of(case: &Path) -> Files {
    read_folder(case).into_iter().filter(|(name, _)| !EXPECTATIONS.contains(&&**name)).collect()
}

fn expected(case: &Path) -> Given {
    let read = |name: &str| fs::read(case.join(name)).unwrap_or_default();
    let code = fs::read_to_string(case.join("exit-code.txt")).map_or(0, |code| code.trim().parse().unwrap());
    let mut files = Files::new();
    let folder = case.join("expected");
    for (name, content) in read_folder(&folder) {
        files.insert(name, content);
    }
    for entry in fs::read_dir(&folder).into_iter().flatten().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name().into_string().unwrap();
        files.extend(read_folder(&entry.path()).into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
    }
    Given { stdout: read("expected.txt"), stderr: read("stderr.txt"), code, files }
}

/// The files of a folder, without those in folders of it.
fn read_folder(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.path().is_file());
    files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn difference(expected: &Given, given: &Given) -> Option<String> {
    if expected == given {
        return None;
    }
    let mut told = String::new();
    let mut tell = |what: &str, expected: &[u8], given: &[u8]| {
        if expected != given {
            let (expected, given) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(given));
            told.push_str(&format!("--- {what}, expected:\n{expected}\n+++ {what}, given:\n{given}\n"));
        }
    };
    tell("stdout", &expected.stdout, &given.stdout);
    tell("stderr", &expected.stderr, &given.stderr);
    tell("exit code", expected.code.to_string().as_bytes(), given.code.to_string().as_bytes());
    for name in expected.files.keys().chain(given.files.keys()) {
        let of = |files: &Files| files.get(name).cloned().unwrap_or_else(|| b"(no such file)".to_vec());
        tell(name, &of(&expected.files), &of(&given.files));
    }
    Some(told)
}

/// Writes what was given as what is expected. What is usual has no file.
fn bless(case: &Path, given: &Given) {
    let put = |name: &str, content: &[u8], usual: &[u8]| {
        let path = case.join(name);
        if content == usual {
            let _ = fs::remove_file(path);
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    };
    put("expected.txt", &given.stdout, b"");
    put("stderr.txt", &given.stderr, b"");
    put("exit-code.txt", format!("{}\n", given.code).as_bytes(), b"0\n");
    let _ = fs::remove_dir_all(case.join("expected"));
    for (name, content) in &given.files {
        put(&format!("expected/{name}"), content, b"\0never");
    }
}
