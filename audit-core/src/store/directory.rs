//! Files: written, flushed to the disk and only then said to be there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::{HeldBatch, LARGEST, StoreError};

/// Adds `lines` to `path`. A line that a crash left torn is ended first.
pub(super) fn append(path: &Path, lines: &[u8]) -> Result<(), StoreError> {
    let write = || {
        if let Some(directory) = path.parent() {
            make(directory)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        // Other processes append here too; the lock goes with the file.
        file.lock()?;
        let len = file.seek(SeekFrom::End(0))?;
        let added = if ends_in_newline(&mut file, len)? { lines.to_vec() } else { [b"\n", lines].concat() };
        if let Err(error) = file.write_all(&added).and_then(|()| file.sync_all()) {
            // What is half written would be there twice after the next try.
            let _ = file.set_len(len);
            return Err(error);
        }
        path.parent().map_or(Ok(()), sync)
    };
    write().map_err(StoreError::file(path, "append"))
}

fn ends_in_newline(file: &mut File, len: u64) -> io::Result<bool> {
    if len == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Writes `batch`, merged with what `name` holds already, so that a crash leaves the old file or the new.
pub(super) fn put_merged(directory: &Path, name: &str, batch: HeldBatch) -> Result<(), StoreError> {
    let path = directory.join(name);
    make(directory).map_err(StoreError::file(directory, "make"))?;
    let lock = File::open(directory).map_err(StoreError::file(directory, "open"))?;
    lock.lock().map_err(StoreError::file(directory, "lock"))?;
    remove_unfinished(directory);

    let batch = match get(&path)? {
        Some(kept) => batch.merged_into(kept),
        None => batch,
    };
    let json = batch.to_json(&path.display().to_string())?;
    let write = || {
        // Unlinked again when anything fails; made with mode 0600.
        let mut file = tempfile::Builder::new().prefix(".").suffix(UNFINISHED).tempfile_in(directory)?;
        file.write_all(&json)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        lock.sync_all()
    };
    write().map_err(StoreError::file(&path, "write"))
}

const UNFINISHED: &str = ".tmp";

/// Removes what a killed process had not given its name yet, which is written again by now. To be called with the directory locked: nobody
/// else is writing. One that stays is in nobody's way, since only names without a dot in front are read.
fn remove_unfinished(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(UNFINISHED) {
            let _stays = fs::remove_file(entry.path());
        }
    }
}

pub(super) fn get(path: &Path) -> Result<Option<HeldBatch>, StoreError> {
    let mut json = Vec::new();
    let mut read = || match File::open(path) {
        Ok(file) => file.take(LARGEST + 1).read_to_end(&mut json).map(|_| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    };
    if read().map_err(StoreError::file(path, "read"))? {
        HeldBatch::from_json(&json, &path.display().to_string()).map(Some)
    } else {
        Ok(None)
    }
}

pub(super) fn remove(directory: &Path, name: &str) -> Result<(), StoreError> {
    let path = directory.join(name);
    match fs::remove_file(&path) {
        Ok(()) => sync(directory).map_err(StoreError::file(&path, "remove")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::file(&path, "remove")(error)),
    }
}

/// The sorted names that end in `suffix`; none where there is no such directory yet.
pub(super) fn names(directory: &Path, suffix: &str) -> Result<Vec<String>, StoreError> {
    let list = || {
        let mut names = Vec::new();
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(names),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(suffix) && !name.starts_with('.') {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    };
    list().map_err(StoreError::file(directory, "list"))
}

fn make(directory: &Path) -> io::Result<()> {
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    directory.parent().map_or(Ok(()), sync)
}

/// A file's name is durable only once its directory is.
fn sync(directory: &Path) -> io::Result<()> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory)?.sync_all()
}
