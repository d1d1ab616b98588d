//! The configuration image on disk: one file with everything, and a journal of what came after it.
//!
//! ```text
//! image    magic "MSTENANT" | version u16 | length u32 | CRC-32C of the body u32 | body (protobuf)
//! journal  records: length u32 | CRC-32C of the body u32 | body (protobuf); all numbers big-endian
//! ```
//! Promises: the image is replaced by an atomic rename; both files are readable by their owner only; a record
//! that was cut short by a crash is dropped, because it was never acknowledged. A file that is damaged
//! otherwise is moved aside and logged. Never guesses at content.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use millstream_api::fleet::{ConfigItem, Delta};
use millstream_api::ids::LogicalClusterId;
use prost::Message;

const MAGIC: &[u8; 8] = b"MSTENANT";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 18;
const RECORD_HEADER_BYTES: usize = 8;
/// Largest image or journal that is read.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// A journal shorter than this is never folded into the image.
const MIN_LONG_JOURNAL_BYTES: u64 = 256 * 1024;
/// Only the owner may read what lets people in.
const FILE_MODE: u32 = 0o600;

/// Everything that is known, as of one revision.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct StoredImage {
    #[prost(uint64, tag = "1")]
    pub(crate) epoch: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) revision: u64,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) pepper: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) items: Vec<ConfigItem>,
    #[prost(string, repeated, tag = "5")]
    pub(crate) pending_deletions: Vec<String>,
}

/// One step after the image.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct JournalRecord {
    /// A delta that was applied.
    #[prost(message, optional, tag = "1")]
    pub(crate) delta: Option<Delta>,
    /// A tenant of whom nothing is left; empty if this record is not about that.
    #[prost(string, tag = "2")]
    pub(crate) deletion_done: String,
}

impl JournalRecord {
    /// A delta was applied.
    pub(crate) fn delta(delta: Delta) -> Self {
        Self { delta: Some(delta), deletion_done: String::new() }
    }

    /// Nothing is left of a deleted tenant.
    pub(crate) fn deletion_done(tenant: &LogicalClusterId) -> Self {
        Self { delta: None, deletion_done: tenant.to_string() }
    }
}

/// Why the files could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file could not be read or written.
    #[error("cannot open the tenant image {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is of a newer version of this software.
    #[error("the tenant image {path} has format version {version}, this version reads up to {VERSION}: start the newer version", path = path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// What it says.
        version: u16,
    },
}

/// The two open files.
pub(crate) struct ImageFile {
    image_path: PathBuf,
    journal_path: PathBuf,
    journal: File,
    journal_bytes: u64,
    image_bytes: u64,
}

impl ImageFile {
    /// Opens or creates the files and reads what they hold.
    pub(crate) fn open(image_path: &Path) -> Result<(Self, Option<StoredImage>, Vec<JournalRecord>), OpenError> {
        let journal_path = image_path.with_extension("journal");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        let bytes = read_if_exists(image_path).map_err(failed(image_path))?;
        let image = match bytes.as_deref().map(decode_image) {
            None => None,
            Some(Ok(image)) => Some(image),
            Some(Err(Damage::NewerVersion(version))) => {
                return Err(OpenError::NewerVersion { path: image_path.to_owned(), version });
            }
            Some(Err(Damage::Corrupt(reason))) => {
                set_aside(image_path, reason).map_err(failed(image_path))?;
                if journal_path.exists() {
                    set_aside(&journal_path, "it continues a corrupt image").map_err(failed(&journal_path))?;
                }
                None
            }
        };
        let journal_bytes = read_if_exists(&journal_path).map_err(failed(&journal_path))?.unwrap_or_default();
        let (records, good_bytes) = decode_journal(&journal_bytes);
        if good_bytes < journal_bytes.len() {
            let lost = journal_bytes.len() - good_bytes;
            tracing::warn!("dropped {lost} bytes at the end of the tenant journal that were never completely written");
        }
        let journal = open_private(&journal_path).map_err(failed(&journal_path))?;
        let mut file = Self {
            image_path: image_path.to_owned(),
            journal_path: journal_path.clone(),
            journal,
            journal_bytes: good_bytes as u64,
            image_bytes: bytes.map_or(0, |bytes| bytes.len() as u64),
        };
        file.cut_journal().map_err(failed(&journal_path))?;
        Ok((file, image, records))
    }

    /// Whether writing the whole image is cheaper in the long run than another record.
    pub(crate) fn journal_is_long(&self) -> bool {
        self.journal_bytes > MIN_LONG_JOURNAL_BYTES.max(self.image_bytes)
    }

    /// Adds records to the journal. They are on disk when this returns.
    pub(crate) fn append(&mut self, records: &[JournalRecord]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for record in records {
            let body = record.encode_to_vec();
            let length = u32::try_from(body.len()).map_err(io::Error::other)?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
            bytes.extend_from_slice(&body);
        }
        self.journal.write_all(&bytes)?;
        self.journal.sync_data()?;
        self.journal_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Replaces the image and empties the journal. The image is on disk when this returns.
    pub(crate) fn write_image(&mut self, image: &StoredImage) -> io::Result<()> {
        let body = image.encode_to_vec();
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
        bytes.extend_from_slice(&body);
        let temporary = self.image_path.with_extension("tmp");
        let mut file = open_private(&temporary)?;
        file.set_len(0)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        std::fs::rename(&temporary, &self.image_path)?;
        sync_parent(&self.image_path)?;
        self.image_bytes = bytes.len() as u64;
        // A crash before this leaves records that the image holds already; replay skips them.
        self.journal_bytes = 0;
        self.cut_journal()
    }

    /// Cuts the journal behind its last good record, and makes sure that its name is on disk.
    fn cut_journal(&mut self) -> io::Result<()> {
        self.journal.set_len(self.journal_bytes)?;
        self.journal.seek(SeekFrom::Start(self.journal_bytes))?;
        self.journal.sync_data()?;
        sync_parent(&self.journal_path)
    }
}

enum Damage {
    Corrupt(&'static str),
    NewerVersion(u16),
}

fn decode_image(bytes: &[u8]) -> Result<StoredImage, Damage> {
    let (header, body) =
        bytes.split_at_checked(HEADER_BYTES).ok_or(Damage::Corrupt("it is shorter than its header"))?;
    if header[..8] != *MAGIC {
        return Err(Damage::Corrupt("it does not begin as a tenant image"));
    }
    let version = u16::from_be_bytes([header[8], header[9]]);
    if version > VERSION {
        return Err(Damage::NewerVersion(version));
    }
    let length = u32::from_be_bytes([header[10], header[11], header[12], header[13]]);
    if body.len() as u64 != u64::from(length) {
        return Err(Damage::Corrupt("its length is not the one it was written with"));
    }
    let checksum = u32::from_be_bytes([header[14], header[15], header[16], header[17]]);
    if crc32c::crc32c(body) != checksum {
        return Err(Damage::Corrupt("its checksum is wrong"));
    }
    StoredImage::decode(body).map_err(|_| Damage::Corrupt("its content cannot be decoded"))
}

/// The records of a journal and the number of bytes they take.
fn decode_journal(bytes: &[u8]) -> (Vec<JournalRecord>, usize) {
    let mut records = Vec::new();
    let mut good_bytes = 0;
    while let Some((record, size)) = decode_record(&bytes[good_bytes..]) {
        records.push(record);
        good_bytes += size;
    }
    (records, good_bytes)
}

fn decode_record(bytes: &[u8]) -> Option<(JournalRecord, usize)> {
    let (header, rest) = bytes.split_at_checked(RECORD_HEADER_BYTES)?;
    let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let checksum = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let body = rest.get(..length)?;
    if crc32c::crc32c(body) != checksum {
        return None;
    }
    let record = JournalRecord::decode(body).ok()?;
    Some((record, RECORD_HEADER_BYTES + length))
}

fn read_if_exists(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    if size > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{size} bytes are more than {MAX_FILE_BYTES}")));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn open_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
    // The mode above is only for a new file.
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

fn set_aside(path: &Path, reason: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".corrupt");
    std::fs::rename(path, &name)?;
    tracing::error!(
        "{path} is not usable, because {reason}: moved it to {moved}; no key works until the control plane sends a new image",
        path = path.display(),
        moved = Path::new(&name).display(),
    );
    sync_parent(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_an_image_a_journal_or_refused() {
        bolero::check!().with_iterations(20_000).for_each(|bytes: &[u8]| {
            let _image_or_damage = decode_image(bytes);
            let (records, good_bytes) = decode_journal(bytes);
            assert!(good_bytes <= bytes.len() && records.len() <= bytes.len() / RECORD_HEADER_BYTES);
        });
    }

    #[test]
    fn any_body_with_a_right_checksum_is_an_image_or_refused() {
        bolero::check!().with_iterations(20_000).for_each(|body: &[u8]| {
            let mut bytes = MAGIC.to_vec();
            bytes.extend_from_slice(&VERSION.to_be_bytes());
            bytes.extend_from_slice(&(body.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&crc32c::crc32c(body).to_be_bytes());
            bytes.extend_from_slice(body);
            if let Ok(image) = decode_image(&bytes) {
                // What is not understood in it is quarantined, never fatal.
                let _loaded = crate::tenants::image::Image::from_stored(image);
            }
        });
    }
}
