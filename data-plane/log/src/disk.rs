//! The few file operations that must be done in the right order to survive a crash.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// What an interrupted replacement leaves behind; removed when a log opens.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// Replaces a file so that a crash of the process leaves the old or the new content, never a mix.
/// After a crash of the machine it may be empty: use only for what can be rebuilt.
pub(crate) fn replace(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    write_temporary(directory, name, content)?;
    rename_temporary(directory, name)
}

/// Replaces a file so that even a crash of the machine leaves the old or the new content.
pub(crate) fn replace_durably(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    write_temporary(directory, name, content)?.sync_data()?;
    rename_temporary(directory, name)?;
    sync_directory(directory)
}

/// Makes creations, renames and removals inside `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Removes a file that may be gone already.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads a whole file that may be missing, but refuses one that is larger than anything we write.
pub(crate) fn read_if_there(path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let length = file.metadata()?.len();
    if length > max_bytes {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is larger than its format allows"));
    }
    let mut content = Vec::with_capacity(length as usize);
    io::Read::read_to_end(&mut io::Read::take(file, max_bytes), &mut content)?;
    Ok(Some(content))
}

fn write_temporary(directory: &Path, name: &str, content: &[u8]) -> io::Result<File> {
    let path = directory.join(format!("{name}{TEMPORARY_SUFFIX}"));
    let mut file = File::create(&path)?;
    let written = file.write_all(content);
    if let Err(error) = written {
        // A full disk: give back what the attempt took.
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok(file)
}

fn rename_temporary(directory: &Path, name: &str) -> io::Result<()> {
    fs::rename(directory.join(format!("{name}{TEMPORARY_SUFFIX}")), directory.join(name))
}
