//! The binary: its one line on standard output, the defaults its documentation names, and an orderly end.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use local_upstreams::{ASYNC_PROCESS, SYNC_PROCESS};

#[test]
fn it_prints_its_address_serves_and_ends_when_told_to() {
    let files = tempfile::tempdir().unwrap();
    // A value only the `.env` file names, which nothing may print.
    let secret = "postgres://nobody:hunter2@127.0.0.1:1/none";
    std::fs::write(files.path().join(".env"), format!("DATABASE_URL={secret}\n")).unwrap();
    let mut program = program(files.path());
    let failed = program.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(!failed.status.success());
    let printed = String::from_utf8(failed.stderr).unwrap();
    assert!(printed.contains("DATABASE_URL") && !printed.contains("hunter2"), "{printed}");

    std::fs::remove_file(files.path().join(".env")).unwrap();
    let mut child = self::program(files.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut address = String::new();
    lines.read_line(&mut address).unwrap();
    std::net::TcpStream::connect(address.trim().strip_prefix("http://").unwrap()).unwrap();
    assert!(files.path().join("local-upstreams.sqlite").exists());
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(child.wait().unwrap().success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn help_and_readme_name_the_defaults() {
    let help = Command::new(env!("CARGO_BIN_EXE_local-upstreams")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let readme = include_str!("../../README.md");
    for text in [SYNC_PROCESS.to_string(), ASYNC_PROCESS.to_string(), "local-client".into(), "local-secret".into()] {
        assert!(help.contains(&text) && readme.contains(&text), "{text}");
    }
    assert!(help.contains("Examples:"));
}

fn program(directory: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local-upstreams"));
    command.args(["--port", "0"]).current_dir(directory).env_remove("DATABASE_URL").stdin(Stdio::null());
    command
}
