//! How fast the table of rules tells clients apart, on one core: `cargo bench -p audit-core --bench user_agents`.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use audit_core::analytics::user_agent::UserAgents;

const TIME: Duration = Duration::from_secs(2);

#[allow(clippy::print_stdout, reason = "a benchmark's output")]
#[allow(clippy::expect_used, reason = "without the fixtures there is nothing to measure")]
fn main() {
    let begun = Instant::now();
    let table = UserAgents::built_in().expect("the table compiles");
    let start_up = begun.elapsed();

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/user_agents");
    let files = std::fs::read_dir(folder).expect("the fixtures are there").flatten();
    let text: Vec<String> = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
    let lines = text.iter().flat_map(|text| text.lines());
    let shapes: Vec<&str> = lines.filter_map(|line| line.splitn(4, '|').nth(3)).map(str::trim).collect();

    let begun = Instant::now();
    let mut rounds = 0_u32;
    while begun.elapsed() < TIME {
        for shape in &shapes {
            black_box(table.classify(black_box(shape)));
        }
        rounds += 1;
    }
    let count = f64::from(rounds) * f64::from(u32::try_from(shapes.len()).unwrap_or(u32::MAX));
    println!(
        "user agents: {:.2} million classifications a second over {} shapes; start-up {start_up:?}, {} KiB",
        count / begun.elapsed().as_secs_f64() / 1e6,
        shapes.len(),
        table.memory_bytes() / 1024,
    );
}
