//! Every promise of the documentation names a test that exists.

use std::fs;
use std::path::Path;

/// The document and the chapter whose tables have a promise and its test in each row.
const DOCUMENT: &str = "README.md";
const CHAPTER: &str = "What adseg promises";

/// The second column of each row that has one.
fn named_tests(document: &str) -> Vec<String> {
    let chapter = document.split(&format!("\n## {CHAPTER}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = chapter.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let tests = rows.filter_map(|row| row.rsplit_once(" | ")).map(|(_promise, test)| test.trim().to_owned());
    tests.filter(|test| !test.is_empty() && test != "test").collect()
}

/// Whether `source` has a test of this name that is not ignored.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let start = format!("fn {name}(");
    let Some(index) = lines.iter().position(|line| line.starts_with(&start)) else { return false };
    let before = lines[..index].iter().rev();
    let attributes: Vec<_> = before.take_while(|line| line.starts_with("#[") || line.starts_with("///")).collect();
    attributes.contains(&&"#[test]") && !attributes.iter().any(|attribute| attribute.starts_with("#[ignore"))
}

#[test]
fn every_promise_names_an_existing_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = named_tests(&fs::read_to_string(root.join(DOCUMENT)).unwrap());
    assert!(tests.len() > 40, "the promises are missing");
    for test in tests {
        let names: Vec<_> = test.split('`').skip(1).step_by(2).collect();
        match names[..] {
            [fixture] => {
                let has_file = |name| root.join(fixture).join(name).exists();
                let is_fixture = fixture.starts_with("fixtures/") && (has_file("args.txt") || has_file("expected.txt"));
                assert!(is_fixture, "{test}");
            }
            [file, name] => {
                let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
                assert!(has_test(&source, name), "{test}");
            }
            _ => panic!("expected a fixture, or a file and a test: {test}"),
        }
    }
}
