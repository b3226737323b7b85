//! Telling clients apart by User-Agent: the table of rules beside a plain reading of the same table, which must find the same.

use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use audit_core::analytics::user_agent::UserAgents;

/// How long each reading works in one turn; on one core, as everything here.
const TURN: Duration = Duration::from_millis(500);
/// Turns of each; the medians are compared.
const TURNS: usize = 7;

/// Measures both over the tests' User-Agents in turn, and prints a table.
pub(crate) fn run() -> Result<()> {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../audit-core");
    let shapes = shapes(&core.join("tests/user_agents"))?;
    let text = std::fs::read_to_string(core.join("src/analytics/clients.txt")).context("the table")?;
    let plain = Plain::read(&text);
    let begun = Instant::now();
    let table = UserAgents::built_in()?;
    let start = begun.elapsed();
    for shape in &shapes {
        let (own, expected) = (table.classify(shape).class.name(), plain.class(shape));
        ensure!(own == expected, "{own} and {expected} for the same User-Agent: {shape}");
    }

    let mut rates: [Vec<f64>; 3] = Default::default();
    for _ in 0..TURNS {
        let turn = [
            rate(&shapes, |shape| _ = black_box(table.classify(shape))),
            rate(&shapes, |shape| _ = black_box(plain.class(shape))),
            rate(&shapes, |shape| _ = black_box(shape.bytes().filter(|byte| *byte == b'/').count())),
        ];
        for (rates, rate) in rates.iter_mut().zip(turn) {
            rates.push(rate);
        }
    }
    let [own, plain, pass] = rates.map(median);
    let out = &mut std::io::stdout();
    writeln!(
        out,
        "\nTelling clients apart: {} User-Agents in turn on one core, medians of {TURNS} turns",
        shapes.len()
    )?;
    writeln!(
        out,
        "| million a second (>= 1) | plain reading of the same table | x faster | passes over the bytes | start-up | memory |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- |")?;
    writeln!(
        out,
        "| {:.2} | {:.3} | {:.0} | {:.1} | {:.1} ms | {} KiB |",
        own / 1e6,
        plain / 1e6,
        own / plain,
        pass / own,
        start.as_secs_f64() * 1000.0,
        table.memory_bytes() / 1024,
    )?;
    Ok(())
}

/// The User-Agents of the tests: the last of four columns.
fn shapes(folder: &Path) -> Result<Vec<String>> {
    let mut files = std::fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut shapes = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)?;
        let lines = text.lines().filter_map(|line| line.splitn(4, '|').nth(3));
        shapes.extend(lines.map(|shape| shape.trim().to_owned()));
    }
    ensure!(shapes.len() >= 60, "expected 60 User-Agents or more, not {}", shapes.len());
    Ok(shapes)
}

/// How many texts `work` does in a second.
fn rate(shapes: &[String], work: impl Fn(&str)) -> f64 {
    let (begun, mut rounds) = (Instant::now(), 0_u32);
    while begun.elapsed() < TURN {
        for shape in shapes {
            work(black_box(shape));
        }
        rounds += 1;
    }
    f64::from(rounds) * f64::from(u32::try_from(shapes.len()).unwrap_or(u32::MAX)) / begun.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// The table as one would read it at first: rule by rule, each piece looked for in the text.
struct Plain<'t>(Vec<PlainRule<'t>>);

struct PlainRule<'t> {
    class: &'t str,
    all: Vec<&'t str>,
    none: Vec<&'t str>,
}

impl<'t> Plain<'t> {
    fn read(table: &'t str) -> Self {
        let lines = table.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let pieces = |column: &'t str| column.split('&').map(str::trim).filter(|piece| !piece.is_empty()).collect();
        let rule = |line: &'t str| {
            let mut columns = line.split('|').map(str::trim);
            let (class, all) = (columns.next()?, columns.nth(1)?);
            Some(PlainRule { class, all: pieces(all), none: pieces(columns.next()?) })
        };
        Self(lines.filter_map(rule).collect())
    }

    fn class(&self, user_agent: &str) -> &'t str {
        let text = user_agent.trim();
        let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).trim();
        if text.is_empty() || text == "-" {
            return "Unknown";
        }
        let text = text.to_ascii_lowercase();
        let holds = |rule: &&PlainRule<'_>| {
            rule.all.iter().all(|piece| stands(&text, piece)) && !rule.none.iter().any(|piece| stands(&text, piece))
        };
        self.0.iter().find(holds).map_or("Other", |rule| rule.class)
    }
}

fn stands(text: &str, piece: &str) -> bool {
    if let Some(piece) = piece.strip_prefix('^') {
        return text.starts_with(piece);
    }
    let Some(piece) = piece.strip_prefix('<') else { return text.contains(piece) };
    let before = |at: usize| at.checked_sub(1).and_then(|before| text.as_bytes().get(before));
    text.match_indices(piece).any(|(at, _)| before(at).is_none_or(|byte| !byte.is_ascii_alphanumeric()))
}
