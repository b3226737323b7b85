//! Holds the table of rooms in `docs/ARCHITECTURE.md` against the sources: who uses whom, and who does no I/O.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests, which fail by a panic"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What one room may do.
#[derive(Debug, Default)]
struct Rule {
    /// `None`: use every room.
    may_use: Option<BTreeSet<String>>,
    pure: bool,
}

/// What a pure room does not name.
const IMPURE: [&str; 10] = [
    "tokio::",
    "reqwest::",
    "redis::",
    "rusqlite::",
    "tempfile::",
    "aws_sdk",
    "std::fs",
    "std::env::",
    "std::thread",
    "std::process",
];

fn core() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names in backticks.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn rules() -> BTreeMap<String, Rule> {
    let text = std::fs::read_to_string(core().join("../docs/ARCHITECTURE.md")).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with("| room |")).skip(2);
    let mut rules = BTreeMap::new();
    for line in table.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [rooms, holds, may_use] = cells[..] else { panic!("expected three cells: {line}") };
        for room in names(rooms) {
            let may_use = match may_use {
                "all" => None,
                "nothing of ours" => Some(BTreeSet::new()),
                listed => {
                    assert!(!names(listed).is_empty(), "expected rooms, `all` or `nothing of ours`: {line}");
                    Some(names(listed))
                }
            };
            let rule = Rule { may_use, pure: holds.ends_with("; pure") };
            assert!(rules.insert(room.clone(), rule).is_none(), "`{room}` twice");
        }
    }
    rules
}

/// The code of every room that goes into the programs: without comments and tests.
fn rooms() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let mut rooms: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for file in files(&core().join("src")) {
        let path = file.strip_prefix(core().join("src")).unwrap().to_owned();
        let room = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if room != "lib" {
            let code = code(&std::fs::read_to_string(&file).unwrap());
            rooms.entry(room).or_default().push((path, code));
        }
    }
    rooms
}

/// The source files below `folder`, save for modules that only tests have.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let tests: BTreeSet<String> = entries
        .iter()
        .filter(|path| path.is_file())
        .flat_map(|path| test_modules(&std::fs::read_to_string(path).unwrap()))
        .collect();
    for path in entries {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if tests.contains(&stem) || stem.ends_with("tests") {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The names in `#[cfg(test)] mod name;`.
fn test_modules(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]").filter_map(|pair| {
        let name = pair[1].split_once("mod ")?.1.strip_suffix(';')?;
        Some(name.to_owned())
    });
    declared.collect()
}

fn code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let tests_begin = line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.ends_with('{'));
        if tests_begin {
            break;
        }
        if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// The rooms that `code` names: `crate::room` and `crate::{room, …}`.
fn used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, start) in code.match_indices("crate::") {
        let rest = &code[at + start.len()..];
        match rest.strip_prefix('{') {
            None => _ = used.insert(word(rest)),
            Some(list) => {
                let (mut depth, mut begins) = (0, true);
                for (at, char) in list.char_indices() {
                    if depth == 0 && begins && !char.is_whitespace() {
                        used.insert(word(&list[at..]));
                        begins = false;
                    }
                    match char {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        _ => {}
                    }
                }
            }
        }
    }
    used.remove("");
    used
}

fn word(text: &str) -> String {
    text.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect()
}

#[test]
fn every_room_is_in_the_table_and_the_other_way_round() {
    let (rules, rooms) = (rules(), rooms());
    let [listed, there]: [Vec<_>; 2] = [rules.keys().collect(), rooms.keys().collect()];
    assert_eq!(listed, there, "left: docs/ARCHITECTURE.md, right: audit-core/src");
    for (room, rule) in &rules {
        for other in rule.may_use.iter().flatten() {
            assert!(rooms.contains_key(other), "docs/ARCHITECTURE.md lets `{room}` use `{other}`, which is no room");
        }
    }
}

#[test]
fn rooms_use_what_the_table_says_and_nothing_else() {
    let (rooms, mut wrong) = (rooms(), Vec::new());
    for (room, rule) in rules() {
        let Some(may_use) = rule.may_use else { continue };
        let mut met = BTreeSet::new();
        for (path, code) in &rooms[&room] {
            for other in used(code).into_iter().filter(|other| *other != room) {
                if !may_use.contains(&other) {
                    wrong.push(format!("{} uses `{other}`, which `{room}` may not", path.display()));
                }
                met.insert(other);
            }
        }
        wrong.extend(may_use.difference(&met).map(|other| format!("`{room}` may use `{other}`, and does not")));
    }
    assert!(wrong.is_empty(), "docs/ARCHITECTURE.md and the code differ:\n{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_touch_nothing() {
    let rooms = rooms();
    let pure: Vec<String> = rules().into_iter().filter(|(_, rule)| rule.pure).map(|(room, _)| room).collect();
    assert!(pure.len() >= 5, "{pure:?}");
    for room in pure {
        for (path, code) in &rooms[&room] {
            for name in IMPURE {
                assert!(!code.contains(name), "{} names {name}, and `{room}` is pure", path.display());
            }
        }
    }
}

#[test]
fn uses_are_found_however_they_are_written() {
    let code = code(
        "//! See crate::a.\nuse crate::{b::{c, d}, e};\nfn f() -> crate::g::H {}\n#[cfg(test)]\nmod tests {\nuse crate::i;\n",
    );
    assert_eq!(used(&code), ["b", "e", "g"].map(str::to_owned).into());
    assert_eq!(test_modules("#[cfg(test)]\npub(crate) mod samples;\nmod other;"), ["samples"]);
}
