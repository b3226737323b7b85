use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// `class | client | version | User-Agent`, one a line; `-` for none.
fn fixtures() -> Vec<[String; 4]> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/user_agents");
    let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let lines = files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines
        .map(|line| {
            let columns: Vec<_> = line.splitn(4, '|').map(|column| column.trim().to_owned()).collect();
            columns.try_into().unwrap()
        })
        .collect()
}

fn built_in() -> UserAgents {
    UserAgents::built_in().unwrap()
}

#[test]
fn every_known_client_is_told() {
    let table = built_in();
    let fixtures = fixtures();
    assert!(fixtures.len() >= 60, "{}", fixtures.len());
    for [class, client, version, user_agent] in fixtures {
        let found = table.classify(&user_agent);
        let told = [found.class.name(), found.name.unwrap_or("-"), found.version.unwrap_or("-")];
        assert_eq!(told, [class.as_str(), &client, &version], "{user_agent}");
    }
}

#[test]
fn every_class_has_a_fixture() {
    let fixtures = fixtures();
    for class in Class::ALL {
        assert!(fixtures.iter().any(|[name, ..]| name == class.name()), "{}", class.name());
    }
}

#[test]
fn one_pair_of_brackets_is_taken_off() {
    assert_eq!(stripped("[GDAL/3.8.4]"), "GDAL/3.8.4");
    assert_eq!(stripped("[[x]]"), "[x]");
    assert_eq!(stripped(" [x "), "[x");
    assert_eq!(stripped(""), "");
}

#[test]
fn a_piece_stands_where_its_mark_says() {
    let table = UserAgents::parse("CLI | one | <abc | | <abc/\nSDK | two | ^x & y | zz |\nR | three | q | |").unwrap();
    let told = |text| table.classify(text).name.unwrap_or("-");
    assert_eq!([told("1 ABC"), told("1abc"), told("-abc")], ["one", "-", "one"]);
    assert_eq!([told("x y"), told("ax y"), told("xy zz"), told("fooq")], ["two", "-", "-", "three"]);
}

#[test]
fn a_piece_may_lie_within_another() {
    let table = UserAgents::parse("CLI | long | <console browser | |\nSDK | short | console | |").unwrap();
    assert_eq!(table.classify("a console browser").name, Some("long"));
    assert_eq!(table.classify("a console").name, Some("short"));
}

#[test]
fn a_mistake_in_the_table_is_told_with_its_line() {
    let error = |text| UserAgents::parse(text).unwrap_err().to_string();
    insta::assert_snapshot!(error("# fine\nCLI | a | b |"), @"user agent table, line 2: expected five columns with | between them");
    insta::assert_snapshot!(error("Cli | a | b | |"), @"user agent table, line 1: expected the name of a class in the first column");
    insta::assert_snapshot!(error("CLI | | b | |"), @"user agent table, line 1: expected a client of 1 to 64 bytes in the second column");
    insta::assert_snapshot!(error("CLI | a | | |"), @"user agent table, line 1: expected at least one piece in the third column");
    insta::assert_snapshot!(error("CLI | a | ^ | |"), @"user agent table, line 1: expected text after ^ or <");
}

static BUILT_IN: LazyLock<UserAgents> = LazyLock::new(built_in);

proptest! {
    #[test]
    fn any_text_has_a_class(text in "\\PC{0,300}|([a-z/ \\[\\](;)v0-9.é…-]|mozilla/|<|chrome/|duckdb/v|python){0,60}") {
        let found = BUILT_IN.classify(&text);
        prop_assert_eq!(found.class == Class::Unknown, matches!(stripped(&text), "" | "-"));
        prop_assert!(found.version.is_none_or(|version| version.len() <= VERSION_BYTES && text.contains(version)));
    }
}
