//! Where programs are: the project's own, built beside the test, and the ones that `scripts/tools.sh` installs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The path of one of the project's binaries, as cargo put it beside the running test.
///
/// # Errors
/// When it was not built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("path of the running test")?;
    let mut folder = own.parent().context("a test executable is in a folder")?;
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder = folder.parent().context("cargo's folder has a parent")?;
    }
    let path = folder.join(name);
    if !path.is_file() {
        bail!("{} is not built: run `cargo build --workspace --bins` in the same profile first", path.display());
    }
    Ok(path)
}

/// The path of an installed program: the tools' cache first, then `PATH`, then where Debian keeps PostgreSQL's.
#[must_use]
pub fn tool(name: &str) -> Option<PathBuf> {
    let cached = cache().map(|cache| cache.join("bin"));
    let on_path = variable("PATH").unwrap_or_default();
    cached.into_iter().chain(std::env::split_paths(&on_path)).chain(postgres_folders()).find_map(|folder| {
        let path = folder.join(name);
        path.is_file().then_some(path)
    })
}

/// Like [`tool`], for what the tests cannot do without.
///
/// # Errors
/// When it is not installed; the message says how to install it.
pub fn required(name: &str) -> Result<PathBuf> {
    tool(name).with_context(|| format!("{name} is not installed: run `scripts/tools.sh test`"))
}

/// The Python interpreter of the environment `name` that `scripts/tools.sh` makes.
///
/// # Errors
/// When it is not installed; the message says how to install it.
pub fn python(name: &str) -> Result<PathBuf> {
    let path = cache().map(|cache| cache.join("venv").join(name).join("bin/python"));
    let path = path.filter(|path| path.is_file());
    path.with_context(|| format!("the Python environment {name:?} is not installed: run `scripts/tools.sh test`"))
}

/// Whether this runs in continuous integration, where nothing may be missing.
#[must_use]
pub fn in_ci() -> bool {
    variable("CI").is_some_and(|value| !value.is_empty())
}

/// A command whose environment holds nothing but `PATH` and a neutral locale.
#[must_use]
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", variable("PATH").unwrap_or_default()).env("LC_ALL", "C");
    command
}

fn cache() -> Option<PathBuf> {
    let base = match variable("XDG_CACHE_HOME") {
        Some(given) if !given.is_empty() => PathBuf::from(given),
        _ => PathBuf::from(variable("HOME")?).join(".cache"),
    };
    Some(base.join("s3-audit-tools"))
}

fn postgres_folders() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders
}

#[allow(clippy::disallowed_methods, reason = "the machine's set-up, not the product's configuration")]
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}
