//! A tar file in memory, in the format `ustar`: names of at most 100 bytes, no times, no owners, so that the same entries give the same
//! bytes.
//!
//! ```text
//! 0 name (100) | 100 mode (8) | 108 uid (8) | 116 gid (8) | 124 size (12) | 136 mtime (12) | 148 checksum (8) | 156 type (1)
//! 157 link (100) | 257 "ustar\0" "00" | 265 to 512 zeros | contents, filled up to 512
//! ```
use anyhow::{Result, ensure};

const BLOCK: usize = 512;
const LONGEST_NAME: usize = 100;
const FILE: u8 = b'0';
const FOLDER: u8 = b'5';

/// Entries are in the order in which they were added.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
}

impl Archive {
    pub fn add_file(&mut self, name: &str, mode: u32, contents: &[u8]) -> Result<()> {
        self.add_header(name, mode, contents.len(), FILE)?;
        self.bytes.extend_from_slice(contents);
        self.fill_block();
        Ok(())
    }

    pub fn add_folder(&mut self, name: &str, mode: u32) -> Result<()> {
        self.add_header(&format!("{name}/"), mode, 0, FOLDER)
    }

    /// Two empty blocks end a tar file.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn add_header(&mut self, name: &str, mode: u32, size: usize, kind: u8) -> Result<()> {
        ensure!(name.len() <= LONGEST_NAME, "{name} is longer than {LONGEST_NAME} bytes");
        let mut header = [0; BLOCK];
        put(&mut header, 0, name);
        put(&mut header, 100, &format!("{mode:07o}"));
        put(&mut header, 108, "0000000");
        put(&mut header, 116, "0000000");
        put(&mut header, 124, &format!("{size:011o}"));
        put(&mut header, 136, "00000000000");
        put(&mut header, 148, "        ");
        header[156] = kind;
        put(&mut header, 257, "ustar\u{0}00");
        let checksum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        put(&mut header, 148, &format!("{checksum:06o}\u{0}"));
        self.bytes.extend_from_slice(&header);
        Ok(())
    }

    fn fill_block(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }
}

fn put(header: &mut [u8; BLOCK], at: usize, text: &str) {
    header[at..at + text.len()].copy_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn tar_reads_what_was_written() {
        let mut archive = Archive::default();
        archive.add_folder("a", 0o755).unwrap();
        archive.add_file("a/b", 0o644, b"hello").unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("x.tar"), archive.finish()).unwrap();
        let tar =
            Command::new("tar").current_dir(directory.path()).args(["--extract", "--file=x.tar"]).status().unwrap();
        assert!(tar.success());
        assert_eq!(std::fs::read(directory.path().join("a/b")).unwrap(), b"hello");
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        assert!(Archive::default().add_file(&"x".repeat(101), 0o644, b"").is_err());
    }
}
