//! Golden cases: every folder in `fixtures/` is a test case; `fixtures/README.md` describes its files.
//!
//! Each case runs with several numbers of partitions and threads and must always produce the same bytes. To write the
//! actual results as the expected ones, run with `UPDATE_FIXTURES=1` and review the difference.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{RUN, Scratch, diff, text};
use serde_json::Value;

/// Partitions and threads, as arguments.
const NUMBERS: [&str; 4] =
    ["", "--partitions 1 --threads 1", "--partitions 3 --threads 2", "--partitions 1000 --threads 8"];

/// The subcommands that accept these arguments.
const PARALLEL: [&str; 6] = ["run", "check", "report", "order-check", "explain", "diff"];

/// The files of a case that are not inputs of the command.
const EXPECTATIONS: [&str; 5] = ["args.txt", "expected.txt", "stderr.txt", "exit-code.txt", "README.md"];

/// The options that name or describe inputs.
const INPUT_ARGS: [&str; 16] = [
    "--loyalty",
    "--campaign",
    "--conversions",
    "--input-format",
    "--loyalty-format",
    "--conversions-format",
    "--max-record-bytes",
    "--column",
    "--delimiter",
    "--loyalty-columns",
    "--conversions-columns",
    "--type",
    "--time-column",
    "--since",
    "--until",
    "--allow-disorder",
];

/// The options of the policy that `run` and `explain` have.
const POLICY_ARGS: [&str; 4] = ["--suppress", "--ledger", "--run-id", "-i"];

/// Contents by path.
type Files = BTreeMap<String, Vec<u8>>;

#[derive(Debug, PartialEq)]
struct CaseResult {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    code: i32,
    /// The files that the command created or changed.
    files: Files,
}

struct Case {
    folder: PathBuf,
    name: String,
    args: String,
}

fn cases() -> Vec<Case> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut folders: Vec<_> = fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(folders.len() > 10, "the fixtures are missing");
    let case = |folder: PathBuf| Case {
        name: folder.file_name().unwrap().to_str().unwrap().to_owned(),
        args: fs::read_to_string(folder.join("args.txt")).unwrap_or_else(|_| RUN.to_owned()),
        folder,
    };
    folders.into_iter().map(case).collect()
}

/// The cases that read a loyalty list and conversions, with the arguments that name them.
fn cases_with_both_sources() -> Vec<(Case, String)> {
    let with_inputs = cases().into_iter().map(|case| {
        let inputs = case.args_among(&INPUT_ARGS);
        (case, inputs)
    });
    with_inputs.filter(|(_, inputs)| ["--loyalty ", "--conversions "].iter().all(|arg| inputs.contains(arg))).collect()
}

impl Case {
    /// The options among these, with their values.
    fn args_among(&self, options: &[&str]) -> String {
        let (mut inputs, mut is_input) = (String::new(), false);
        for arg in self.args.split_whitespace().skip(1).skip_while(|arg| !arg.starts_with("--")) {
            // A list of columns may begin with `-`.
            if arg.starts_with('-') && arg.len() > 1 && !arg.starts_with("-,") {
                is_input = options.contains(&arg);
            }
            if is_input {
                inputs += &format!(" {arg}");
            }
        }
        inputs
    }

    fn inputs(&self) -> Files {
        read_folder(&self.folder).into_iter().filter(|(name, _)| !EXPECTATIONS.contains(&&**name)).collect()
    }

    /// A copy of the inputs, and standard input.
    fn prepare(&self) -> (Scratch, Vec<u8>) {
        let (scratch, inputs) = (Scratch::new(), self.inputs());
        for (name, content) in &inputs {
            scratch.write(name, content);
        }
        let stdin = inputs.into_iter().find(|(name, _)| name.starts_with("stdin."));
        (scratch, stdin.map(|(_, bytes)| bytes).unwrap_or_default())
    }

    /// Runs a command in a copy of the folder.
    fn run(&self, args: &str) -> CaseResult {
        let (scratch, stdin) = self.prepare();
        let inputs = self.inputs();
        let output = scratch.adseg(args).write_stdin(stdin).output().unwrap();
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
            assert!(scratch.file(name).exists(), "{}: {name} was removed", self.name);
        }
        CaseResult { stdout: output.stdout, stderr: output.stderr, code: output.status.code().unwrap(), files }
    }

    fn expected(&self) -> CaseResult {
        let read = |name: &str| fs::read(self.folder.join(name)).unwrap_or_default();
        let code = fs::read_to_string(self.folder.join("exit-code.txt")).map_or(0, |code| code.trim().parse().unwrap());
        let folder = self.folder.join("expected");
        let mut files = read_folder(&folder);
        for entry in fs::read_dir(&folder).into_iter().flatten().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            files.extend(read_folder(&entry.path()).into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        }
        CaseResult { stdout: read("expected.txt"), stderr: read("stderr.txt"), code, files }
    }

    fn has_error(&self) -> bool {
        self.folder.join("exit-code.txt").exists()
    }

    /// Writes a result as the expected one. A default has no file.
    fn write_expected(&self, actual: &CaseResult) {
        let write = |name: &str, content: &[u8], default: Option<&[u8]>| {
            let path = self.folder.join(name);
            if Some(content) == default {
                let _ = fs::remove_file(path);
            } else {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
        };
        write("expected.txt", &actual.stdout, Some(b""));
        write("stderr.txt", &actual.stderr, Some(b""));
        write("exit-code.txt", format!("{}\n", actual.code).as_bytes(), Some(b"0\n"));
        let _ = fs::remove_dir_all(self.folder.join("expected"));
        for (name, content) in &actual.files {
            write(&format!("expected/{name}"), content, None);
        }
    }
}

/// The files of a folder, without its subfolders; none if it is not a folder.
fn read_folder(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.path().is_file());
    files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// What differs, or an empty string.
fn difference(expected: &CaseResult, actual: &CaseResult) -> String {
    let mut differences = String::new();
    let mut compare = |what: &str, expected: &[u8], actual: &[u8]| {
        if expected != actual {
            differences += &format!("{what}: {}", diff(expected, actual));
        }
    };
    compare("stdout", &expected.stdout, &actual.stdout);
    compare("stderr", &expected.stderr, &actual.stderr);
    compare("exit code", expected.code.to_string().as_bytes(), actual.code.to_string().as_bytes());
    for name in expected.files.keys().chain(actual.files.keys()) {
        let content = |files: &Files| files.get(name).cloned().unwrap_or_else(|| b"(no such file)".to_vec());
        compare(name, &content(&expected.files), &content(&actual.files));
    }
    assert_eq!(differences.is_empty(), expected == actual);
    differences
}

#[test]
fn every_fixture_produces_its_expected_bytes() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let mut failures = String::new();
    for case in cases() {
        let is_parallel = PARALLEL.iter().any(|name| case.args.starts_with(name));
        for (index, numbers) in NUMBERS.into_iter().enumerate() {
            let args = if is_parallel { format!("{} {numbers}", case.args) } else { case.args.clone() };
            let actual = case.run(&args);
            if update && index == 0 {
                case.write_expected(&actual);
            }
            let difference = difference(&case.expected(), &actual);
            if !difference.is_empty() {
                failures += &format!("fixtures/{} {numbers}\n{difference}\n", case.name);
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn check_passes_exactly_the_fixtures_that_run_accepts() {
    let mut accepted = 0;
    for (case, inputs) in cases_with_both_sources() {
        let [run, check] = ["run", "check"].map(|command| case.run(&format!("{command} {inputs}")).code);
        assert_eq!(run == 0, check == 0, "{}", case.name);
        accepted += usize::from(run == 0);
    }
    assert!(accepted > 10, "the fixtures are missing");
}

#[test]
fn explain_agrees_with_run_on_every_fixture() {
    let mut explained = 0;
    for (case, inputs) in cases_with_both_sources() {
        // `run` writes to the ledger, so it accepts fewer files as a ledger than `explain`.
        let has_policy = case.name.starts_with("policy-") && !case.has_error();
        let inputs = inputs + &if has_policy { case.args_among(&POLICY_ARGS) } else { String::new() };
        let (scratch, stdin) = case.prepare();
        let output = |command: &str| {
            let mut command = scratch.adseg(&format!("{command} {inputs} --on-error skip"));
            command.write_stdin(stdin.clone()).output().unwrap()
        };
        let run = output("run --save-format text --save-loyalty members.saved");
        if !run.status.success() {
            let explain = output("explain a@example.com");
            assert_eq!((explain.status, text(explain.stderr)), (run.status, text(run.stderr)), "{}", case.name);
            continue;
        }
        let written: Vec<(&[u8], bool)> = run.stdout.split(|&byte| byte == b'\n').filter_map(decision).collect();
        let members = fs::read(scratch.file("members.saved")).unwrap();
        let members: Vec<&[u8]> = members.split(|&byte| byte == b'\n').filter(|row| !row.is_empty()).collect();
        let listed = members.iter().filter_map(|row| row.split(|&byte| byte == b',').next());
        let emails: Vec<&[u8]> = written.iter().map(|(email, _)| *email).chain(listed).collect();
        scratch.write("explained.emails", [b"\n", emails.join(&b'\n').as_slice()].concat());

        let explain = text(output("explain --emails explained.emails --format jsonl").stdout);
        let explain: Vec<Value> = explain.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let files: Vec<&str> = inputs.split_whitespace().map(|name| if name == "-" { "stdin" } else { name }).collect();
        let input_order = |line: &Value| {
            let file = files.iter().position(|file| line["file"] == *file).unwrap();
            (file, line["line"].as_u64().or(line["frame"].as_u64()).unwrap())
        };
        let mut decisions: Vec<&Value> = explain.iter().filter(|line| line["send"].is_boolean()).collect();
        decisions.sort_by_key(|line| input_order(line));
        // If the campaign ignores case, the record may have another spelling than the requested email.
        let email = |line: &Value| line.get("spelling").unwrap_or(&line["email"]).clone();
        let decisions: Vec<_> = decisions.iter().map(|line| (email(line), line["send"].clone())).collect();
        let expected: Vec<_> = written
            .iter()
            .map(|(email, send)| (Value::from(String::from_utf8_lossy(email)), Value::from(*send)))
            .collect();
        assert_eq!(decisions, expected, "{}", case.name);
        let members_since = explain.iter().filter(|line| line["member_since"].is_object()).count();
        assert_eq!(members_since, members.len(), "{}", case.name);
        explained += written.len();
    }
    assert!(explained > 100, "the fixtures are missing");
}

/// The email and the decision in a line that `run` wrote.
fn decision(line: &[u8]) -> Option<(&[u8], bool)> {
    let line = line.strip_prefix(b"Send additional promo code to: ")?;
    line.strip_suffix(b", True")
        .map(|email| (email, true))
        .or(line.strip_suffix(b", False").map(|email| (email, false)))
}
