//! Ends what a test process leaves behind, however that process ended.
//!
//! Values in statics are never dropped, and a killed process drops nothing. So a small helper process reads, from a pipe
//! that closes with this process, which processes and directories there are, and cleans up at its end.

use std::io::Write as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Reads everything first: `awk` reaches its end block only when the pipe closes. PostgreSQL needs a moment between the
/// signal and the removal of its files.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
exec awk '
    $1 == "started" { signal[$2] = $3 }
    $1 == "ended" { delete signal[$2] }
    $1 == "directory" { directories[substr($0, 11)] = 1 }
    $1 == "removed" { delete directories[substr($0, 9)] }
    END {
        for (pid in signal) system("kill -" signal[pid] " " pid " 2>/dev/null")
        for (path in directories) if (path ~ /^\/.+\/.+/) system("sleep 0.5; rm -rf \"" path "\"")
    }'
"#;

static REAPER: LazyLock<Mutex<Option<ChildStdin>>> = LazyLock::new(|| Mutex::new(start()));

/// Has process `pid` ended by `signal` should this process end first.
pub(crate) fn started(pid: u32, signal: &str) {
    tell(&format!("started {pid} {signal}"));
}

/// Process `pid` has ended, and its number may be given to another one.
pub(crate) fn ended(pid: u32) {
    tell(&format!("ended {pid}"));
}

/// Has `path` removed should this process end first.
pub(crate) fn directory(path: &Path) {
    tell(&format!("directory {}", path.display()));
}

/// Directory `path` is gone.
pub(crate) fn removed(path: &Path) {
    tell(&format!("removed {}", path.display()));
}

fn tell(line: &str) {
    let mut reaper = REAPER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pipe) = reaper.as_mut() {
        // Without a reaper, dropping still cleans up; only a killed test process would leave something.
        let _ = pipe.write_all(format!("{line}\n").as_bytes());
    }
}

fn start() -> Option<ChildStdin> {
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().ok()?.stdin.take()
}
