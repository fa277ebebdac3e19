//! The documentation is whole: every public item has an example, and every example runs.

use std::fs;
use std::path::{Path, PathBuf};

/// The files below a folder of the crate.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The kind and the name of the public item that begins in a line, if one does.
fn public_item(line: &str) -> Option<&str> {
    let item = line.trim_start().strip_prefix("pub ")?;
    let item =
        ["const fn ", "async fn "].iter().find_map(|of| item.strip_prefix(of)).or_else(|| {
            ["fn ", "struct ", "enum ", "const ", "type "]
                .iter()
                .find_map(|of| item.strip_prefix(of))
        })?;
    // In a macro, which makes the item where it is called: there it has a name.
    (!item.starts_with('$')).then_some(item)
}

/// The documentation and the attributes before a line.
fn head_of<'l>(lines: &'l [&str], line: usize) -> &'l [&'l str] {
    let is_of_it = |line: &&str| {
        let line = line.trim();
        line.starts_with("///") || !(line.is_empty() || line.ends_with(['{', '}', ';']))
    };
    let before = lines[..line].iter().rev().take_while(|line| is_of_it(line)).count();
    &lines[line - before..line]
}

#[test]
fn every_public_item_has_an_example() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut items, mut without) = (0, Vec::new());
    for path in sources(&source) {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let Some(item) = public_item(line) else { continue };
            items += 1;
            if !head_of(&lines, number).iter().any(|line| line.contains("```")) {
                without.push(format!("{}:{}: {item}", path.display(), number + 1));
            }
        }
    }
    assert!(items > 300, "the items are found: {items}");
    assert!(without.is_empty(), "without an example:\n{}", without.join("\n"));
}

#[test]
fn every_example_runs() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&source) {
        let text = fs::read_to_string(&path).unwrap();
        let fences = text.lines().enumerate().filter_map(|(number, line)| {
            let text = line.trim().trim_start_matches(['/', '!', ' ']);
            Some((number + 1, text.strip_prefix("```")?))
        });
        for (number, kind) in fences {
            // What does not compile by intention need not run.
            let is_run = matches!(kind, "" | "compile_fail");
            assert!(is_run, "{}:{number}: `{kind}`", path.display());
        }
    }
}

/// `examples/readme.rs` is run against a server by Floe's tests, as the other programs there.
#[test]
fn the_readme_has_an_example_that_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let program = fs::read_to_string(folder.join("examples/readme.rs")).unwrap();
    let (_, code) = program.split_once("\n\n").unwrap();
    assert!(readme.contains(&format!("```rust\n{code}```\n")), "examples/readme.rs differs");
    assert_eq!(readme.matches("```").count(), 2, "it has no other example");
}
