//! The tests that the documentation names exist and are run.
//!
//! A page names a test as `` `tests/files.rs`: `name` `` and a golden case as `` `fixtures/name` ``. Every row of the
//! table in docs/promises.md names at least one.

use std::fs;
use std::path::{Path, PathBuf};

const PROMISES: &str = "docs/promises.md";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let others = ["README.md", "CONTRIBUTING.md", "fixtures/README.md"].map(|name| root().join(name));
    docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")).chain(others).collect()
}

/// The lines of a page outside its code blocks.
fn prose(page: &str) -> Vec<&str> {
    let mut in_block = false;
    let outside = page.lines().filter(|line| {
        let fence = line.starts_with("```");
        in_block ^= fence;
        !in_block && !fence
    });
    outside.collect()
}

/// What is wrong with the tests that a line names, and how many it names.
fn check(line: &str) -> Result<usize, String> {
    let mut pieces: Vec<_> = line.split('`').collect();
    pieces.push("");
    let mut named = 0;
    // Odd pieces are in backticks, even ones between them.
    for at in (1..pieces.len() - 1).step_by(2) {
        let (span, after) = (pieces[at], pieces[at + 1]);
        if span.ends_with(".rs") && after == ": " {
            let source = fs::read_to_string(root().join(span)).map_err(|error| format!("{span}: {error}"))?;
            let name = pieces[at + 2];
            has_test(&source, name).then_some(()).ok_or_else(|| format!("{span} has no test {name}"))?;
            named += 1;
        } else if span.starts_with("fixtures/") && !span.contains(char::is_whitespace) {
            root().join(span).exists().then_some(()).ok_or_else(|| format!("{span} does not exist"))?;
            named += 1;
        }
    }
    Ok(named)
}

/// Whether `source` has a test of this name that is run.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let place = lines.iter().position(|line| line.starts_with(&format!("fn {name}(")));
    place.is_some_and(|place| {
        let attributes =
            lines[..place].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("///"));
        let attributes: Vec<_> = attributes.collect();
        attributes.contains(&&"#[test]") && !attributes.iter().any(|attribute| attribute.starts_with("#[ignore"))
    })
}

#[test]
fn every_test_that_the_docs_name_exists() {
    let mut errors = Vec::new();
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        errors.extend(
            prose(&page).iter().filter_map(|line| check(line).err()).map(|e| format!("{}: {e}", path.display())),
        );
    }
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn every_promise_names_a_test() {
    let page = fs::read_to_string(root().join(PROMISES)).unwrap();
    let is_promise =
        |line: &&&str| line.starts_with("| ") && !line.starts_with("| promise ") && !line.contains("| ---");
    let lines = prose(&page);
    let promises: Vec<_> = lines.iter().filter(is_promise).collect();
    assert!(promises.len() > 40, "{PROMISES} has {} promises", promises.len());
    for promise in promises {
        assert!(check(promise).is_ok_and(|named| named > 0), "{promise}");
    }
}
