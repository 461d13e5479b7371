//! Every system call of every command fails once. No fault is ignored, and all files are old or all are new.
//!
//! `inject/inject.c` is loaded into the command and makes one call fail.

#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use common::inject::{library, run_with_library};
use common::{CommandOutput, SMALL_CONVERSIONS, SMALL_DECISIONS, SMALL_LIST, Scratch, frame};

/// The kinds of calls, and the error of each.
const CALLS: [(&str, &str); 8] = [
    ("open", "Input/output error"),
    ("read", "Input/output error"),
    ("write", "No space left on device"),
    ("sync", "Input/output error"),
    ("rename", "Operation not permitted"),
    ("link", "Operation not permitted"),
    ("mkdir", "Input/output error"),
    ("thread", "Resource temporarily unavailable"),
];

/// The arguments of a command, its standard input, and the kinds of calls that it makes.
type Case = (&'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    (
        "run --loyalty loyalty.txt --conversions bad.txt --on-error skip --rejects rejects -o codes.txt \
         --save-loyalty loyalty.txt",
        "",
        "open read write sync rename link mkdir thread",
    ),
    (
        "run --loyalty loyalty.txt --conversions bad.txt --on-error skip --rejects new -o new.txt --save-loyalty saved.txt",
        "",
        "open read write sync rename link mkdir thread",
    ),
    (
        "run --loyalty loyalty.txt --conversions bad.txt --on-error skip --rejects rejects --suppress suppressed.txt \
         --ledger ledger.csv --run-id now --codes unused.csv --output-format csv -o codes.txt --save-loyalty loyalty.txt",
        "",
        "open read write sync rename link mkdir thread",
    ),
    (
        "run --loyalty loyalty.txt --conversions bad.txt --on-error skip --ledger new.csv --run-id now",
        "",
        "open read write sync link thread",
    ),
    ("run --loyalty loyalty.txt --conversions conversions.txt", "", "open read write thread"),
    ("run --loyalty loyalty.txt.gz --conversions conversions.txt", "", "open read write thread"),
    (
        "run --loyalty - --conversions conversions.txt --save-loyalty loyalty.txt -o codes.txt",
        SMALL_LIST,
        "open read write sync rename link thread",
    ),
    ("run --loyalty loyalty.txt --conversions - --output-format csv", SMALL_CONVERSIONS, "open read write thread"),
    (
        "run --loyalty - --conversions - -o codes.txt --summary",
        SMALL_CONVERSIONS,
        "open read write sync rename link thread",
    ),
    (
        "check --loyalty loyalty.txt --conversions conversions.txt -o codes.txt",
        "",
        "open read write sync rename link thread",
    ),
    (
        "explain kim@example.com --loyalty loyalty.txt --conversions conversions.txt -o codes.txt",
        "",
        "open read write sync rename link thread",
    ),
    (
        "order-check --loyalty loyalty.txt --conversions conversions.txt other.txt -o codes.txt",
        "",
        "open read write sync rename link thread",
    ),
    (
        "diff policy.toml policy.toml --loyalty loyalty.txt --conversions conversions.txt --suppress emails.txt \
         --ledger ledger.csv -o codes.txt",
        "",
        "open read write sync rename link thread",
    ),
    (
        "report --loyalty loyalty.txt --conversions conversions.txt --suppress emails.txt --ledger ledger.csv \
         -o codes.txt --html new.html",
        "",
        "open read write sync rename link thread",
    ),
    ("frame conversions.txt -o codes.txt", "", "open read write sync rename link thread"),
    ("unframe conversions.frames", "", "open read write thread"),
    (
        "generate --loyalty loyalty.txt --conversions codes.txt --suppress new.txt --codes saved.txt --members 90 \
         --events 9 --force",
        "",
        "open write sync rename link thread",
    ),
    ("completions bash", "", "write thread"),
    ("man", "", "write thread"),
    ("run --help", "", "write"),
];

/// The earlier rejects list a file that the new ones do not replace.
const EARLIER_REJECT: &str = r#"{"file":"list.txt","line":1,"byte":0,"reason":"bad","kept_in":"loyalty.txt"}"#;

/// The files before each command.
fn campaign() -> Scratch {
    let scratch = Scratch::small_campaign();
    scratch.write("codes.txt", "old\n");
    fs::set_permissions(scratch.file("codes.txt"), fs::Permissions::from_mode(0o600)).unwrap();
    scratch.write("bad.txt", format!("{SMALL_CONVERSIONS}bad\nH, PurchaseConversion, lee@example.com, [1], 2\n"));
    scratch.write("policy.toml", "promos = ['Other']\n");
    scratch.write("emails.txt", "kim@example.com\n");
    scratch.write("ledger.csv", "run,promo,email,outcome,code\n1,H,kim@example.com,sent,\n");
    scratch.write("other.txt", "H, ClickConversion, noor@example.com, w\n");
    scratch.write("suppressed.txt", "noor@example.com\n");
    scratch.write("ledger.csv", "run,promo,email,outcome,code\nearlier,H,lee@example.com,sent,A\n");
    scratch.write("unused.csv", "promo,code\nHoodie,A\nHoodie,B\nH,C\n");
    scratch.write("conversions.frames", SMALL_CONVERSIONS.lines().flat_map(frame).collect::<Vec<u8>>());
    let mut gzip = flate2::read::GzEncoder::new(SMALL_LIST.as_bytes(), flate2::Compression::fast());
    std::io::copy(&mut gzip, &mut fs::File::create(scratch.file("loyalty.txt.gz")).unwrap()).unwrap();
    fs::create_dir(scratch.file("rejects")).unwrap();
    scratch.write("rejects/errors.jsonl", format!("{EARLIER_REJECT}\n"));
    scratch.write("rejects/loyalty.txt", "bad\n");
    scratch
}

/// The permissions and the content of everything in a folder.
type Tree = BTreeMap<PathBuf, (u32, Vec<u8>)>;

fn tree(folder: &Path) -> Tree {
    let mut tree = Tree::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.metadata().unwrap();
        let content = if metadata.is_dir() {
            tree.extend(self::tree(&path));
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        tree.insert(path, (metadata.mode(), content));
    }
    tree
}

/// The same without the name of the scratch folder.
fn files_in(scratch: &Scratch) -> Tree {
    let relative = |path: PathBuf| path.strip_prefix(scratch.path()).unwrap().to_owned();
    tree(scratch.path()).into_iter().map(|(path, file)| (relative(path), file)).collect()
}

/// Runs a case with these variables for the library. Returns its output, and whether a call failed.
fn run(scratch: &Scratch, case: Case, library: &Path, variables: &[(&str, &str)]) -> (CommandOutput, bool) {
    run_with_library(scratch, (case.0, case.1), library, variables)
}

/// Makes each call of one kind fail, in one run after another. Returns how many there are, or what is wrong.
fn inject(case: Case, library: &Path, call: &str, error: &str) -> Result<usize, String> {
    let (args, stdin, _) = case;
    let mut scratch = campaign();
    let before = files_in(&scratch);
    let clean = scratch.run_with(args, stdin);
    let after = files_in(&scratch);
    scratch = campaign();
    for at in 1.. {
        let folder = scratch.path().to_owned();
        let (output, has_failed) =
            run(&scratch, case, library, &[("INJECT_CALL", call), ("INJECT_AT", &at.to_string())]);
        let files = files_in(&scratch);
        let is_complete = output.code == Some(0) && output.stdout == clean.stdout && files == after;
        // The commit is possible without links.
        let is_correct = if !has_failed || call == "link" {
            is_complete
        } else {
            let is_failure = matches!(output.code, Some(1 | 2)) && clean.stdout.starts_with(&output.stdout);
            let names = before.keys().chain(after.keys()).chain([&folder]);
            // `check` succeeds in reporting an input that cannot be read.
            let report = scratch.read("codes.txt");
            let (message, unchanged) = if args.starts_with("check") && output.stderr.is_empty() {
                (report.lines().next(), files.keys().eq(before.keys()))
            } else {
                (output.stderr.lines().next_back(), files == before)
            };
            is_failure && unchanged && message.is_some_and(|message| is_explanation(message, call, error, names))
        };
        if !is_correct {
            let changed = files.iter().filter(|(path, file)| before.get(*path) != Some(*file)).map(|(path, _)| path);
            return Err(format!("{args}: {call} {at}: {output:?}\nchanged: {:?}", changed.collect::<Vec<_>>()));
        }
        if !has_failed {
            return Ok(at - 1);
        }
        if files != before {
            scratch = campaign();
        }
    }
    unreachable!("a command makes a finite number of calls")
}

/// Whether a message contains the error of the system, and the name of a file or what could not be started.
fn is_explanation<'a>(message: &str, call: &str, error: &str, files: impl Iterator<Item = &'a PathBuf>) -> bool {
    let names: Vec<_> = match call {
        "thread" => vec!["cannot start a thread", "cannot catch signals"],
        _ => files.filter_map(|path| path.to_str()).chain(["stdin", "stdout"]).collect(),
    };
    message.contains(error) && !message.contains("damaged") && names.iter().any(|name| message.contains(name))
}

#[test]
fn any_failed_system_call_is_reported_and_changes_no_file() {
    let library = &library("inject-each.so");
    let jobs = CASES.iter().flat_map(|case| CALLS.iter().map(move |call| (*case, *call)));
    let (jobs, wrong) = (&Mutex::new(jobs.collect::<Vec<_>>().into_iter()), &Mutex::new(Vec::new()));
    let next = || jobs.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(move || {
                while let Some((case, (call, error))) = next() {
                    let is_expected = case.2.split(' ').any(|expected| expected == call);
                    match inject(case, library, call, error) {
                        Ok(count) if (count > 0) == is_expected => {}
                        Ok(count) => wrong.lock().unwrap().push(format!("{}: {count} calls of {call}", case.0)),
                        Err(error) => wrong.lock().unwrap().push(error),
                    }
                }
            });
        }
    });
    let wrong = wrong.lock().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Without links, or if renames fail during the undo, old files cannot be restored.
#[test]
fn file_that_cannot_be_restored_is_named() {
    let library = library("inject-two.so");
    let mut listed = 0;
    for second in [("INJECT_ALL", "link"), ("INJECT_LATER", "1")] {
        for at in 1.. {
            let scratch = campaign();
            let before = files_in(&scratch);
            let variables = [("INJECT_CALL", "rename"), ("INJECT_AT", &at.to_string()), second];
            let (CommandOutput { code, stderr, .. }, has_failed) = run(&scratch, CASES[0], &library, &variables);
            if !has_failed {
                break;
            }
            assert_eq!(code, Some(1));
            let files = files_in(&scratch);
            for (path, (_, content)) in before.iter().filter(|(path, file)| files.get(*path) != Some(*file)) {
                let path = scratch.file(path.to_str().unwrap());
                let name = path.to_str().unwrap();
                let (_, list) = stderr.split_once("could not be restored: ").expect(&stderr);
                let item = list.trim_end().split(", ").find(|item| item.starts_with(name)).expect(&stderr);
                if second.0 == "INJECT_LATER" {
                    let old = item.rsplit_once(" (the old file is ").unwrap().1.strip_suffix(')').unwrap();
                    assert_eq!(fs::read(old).unwrap(), *content, "{stderr}");
                }
                listed += 1;
            }
            let temporary = files.keys().filter(|path| path.to_string_lossy().contains(".adseg-")).count();
            assert_eq!(temporary, stderr.matches("the old file is").count(), "{stderr}");
            // New files are removed.
            assert!(!files.contains_key(Path::new("rejects/conversions.txt")), "{stderr}");
        }
    }
    assert!(listed > 4, "{listed}");
}

/// Both runs save a list that did not exist, so neither locks it.
#[test]
fn failed_commit_leaves_the_files_of_a_concurrent_run() {
    let library = library("inject-run.so");
    let scratch = campaign();
    fs::remove_file(scratch.file("codes.txt")).unwrap();
    let args = "run --loyalty loyalty.txt --conversions conversions.txt -o codes.txt --save-loyalty saved.txt";
    // The first link is to an old file, the second puts the list in place.
    let variables = [
        ("INJECT_CALL", "link"),
        ("INJECT_AT", "2"),
        ("INJECT_RUN", &*format!("{} {args}", env!("CARGO_BIN_EXE_adseg"))),
    ];
    let (CommandOutput { code, stderr, .. }, _) = run(&scratch, (args, "", ""), &library, &variables);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("saved.txt: another program created the list during this run"), "{stderr}");
    assert!(stderr.contains("codes.txt (another program has replaced it since), run again\n"), "{stderr}");
    assert_eq!(scratch.read("codes.txt"), SMALL_DECISIONS);
    assert!(scratch.file("saved.txt").exists());
    assert!(!scratch.names().iter().any(|name| name.starts_with(".adseg-")), "{:?}", scratch.names());
}

#[test]
fn list_changed_during_the_commit_is_not_replaced() {
    let library = library("inject-edit.so");
    let (args, ..) = CASES[0];
    let mut commands = 0;
    for at in 1.. {
        let scratch = campaign();
        let before = files_in(&scratch);
        let edit = "echo 'new@example.com, , , ' >> loyalty.txt";
        let variables = [("INJECT_CALL", "sync"), ("INJECT_AT", &*at.to_string()), ("INJECT_RUN", edit)];
        let (CommandOutput { code, stderr, .. }, has_run) = run(&scratch, CASES[0], &library, &variables);
        if !has_run {
            break;
        }
        if code == Some(0) {
            // The list had been replaced.
            assert!(scratch.read("loyalty.txt").ends_with("\nnew@example.com, , , \n"), "{args}: {at}");
            continue;
        }
        assert_eq!(code, Some(1));
        let message = "loyalty.txt: the list changed during this run; nothing was replaced, run again\n";
        assert!(stderr.ends_with(message), "{stderr}");
        let mut files = files_in(&scratch);
        let (_, content) = files.get_mut(Path::new("loyalty.txt")).unwrap();
        content.truncate(SMALL_LIST.len());
        assert_eq!(files, before, "{args}: {at}");
        commands += 1;
    }
    assert!(commands > 3, "{commands}");
}
