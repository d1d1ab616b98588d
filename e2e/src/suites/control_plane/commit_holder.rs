//! Stands between one replica and PostgreSQL and keeps back the answer to one COMMIT: the database has made the change durable, the
//! replica does not know it yet. Killed then, it dies between commit and answer, every time.
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::postgres::SOCKET;

const LIMIT: Duration = Duration::from_secs(30);
const CHUNK_BYTES: usize = 16 << 10;
/// What of the bytes before is looked at together with the next ones: more than a needle.
const TAIL_BYTES: usize = 127;
/// Messages of PostgreSQL's protocol: `Q`, the length, the text, a zero.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
const ROLLBACK: &[u8] = b"Q\0\0\0\x0dROLLBACK\0";

/// The way of one replica to its database.
pub struct CommitHolder {
    directory: TempDir,
    needle: Needle,
    held: mpsc::Receiver<()>,
}

/// What the transaction to be held has among its values.
type Needle = Arc<Mutex<Option<Vec<u8>>>>;

impl CommitHolder {
    pub fn start(server: PathBuf) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("millstream-pg-").tempdir()?;
        let listener = UnixListener::bind(directory.path().join(SOCKET))?;
        let needle = Needle::default();
        let (sender, held) = mpsc::channel();
        let shared = Arc::clone(&needle);
        // Lives as long as the suite; a connection ends when either side does.
        std::thread::spawn(move || {
            for replica in listener.incoming().flatten() {
                let Ok(database) = UnixStream::connect(&server) else { continue };
                let _ = connect(replica, database, &shared, &sender);
            }
        });
        Ok(Self { directory, needle, held })
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Keeps back the answer to the next COMMIT of a transaction that sends this text.
    pub fn hold_commit_of(&self, text: &str) {
        *self.needle.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.as_bytes().to_vec());
    }

    /// Waits until the COMMIT was sent to the database.
    pub fn wait_until_held(&self) -> Result<()> {
        self.held.recv_timeout(LIMIT).context("no such transaction was committed")
    }
}

fn connect(replica: UnixStream, database: UnixStream, needle: &Needle, held: &mpsc::Sender<()>) -> std::io::Result<()> {
    let is_held = Arc::new(AtomicBool::new(false));
    let (mut from_database, mut to_replica) = (database.try_clone()?, replica.try_clone()?);
    let answers_are_held = Arc::clone(&is_held);
    std::thread::spawn(move || {
        let mut chunk = [0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from_database.read(&mut chunk) {
            let is_lost = answers_are_held.load(Ordering::SeqCst);
            if !is_lost && to_replica.write_all(&chunk[..count]).is_err() {
                break;
            }
        }
        let _ = to_replica.shutdown(Shutdown::Both);
    });
    let watch = Watch { needle: Arc::clone(needle), is_held, held: held.clone(), tail: Vec::new(), is_wanted: false };
    std::thread::spawn(move || pass_statements(replica, database, watch));
    Ok(())
}

fn pass_statements(mut replica: UnixStream, mut database: UnixStream, mut watch: Watch) {
    let mut chunk = [0; CHUNK_BYTES];
    while let Ok(count @ 1..) = replica.read(&mut chunk) {
        watch.see(&chunk[..count]);
        if database.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = database.shutdown(Shutdown::Both);
}

/// What one connection has sent so far.
struct Watch {
    needle: Needle,
    is_held: Arc<AtomicBool>,
    held: mpsc::Sender<()>,
    tail: Vec<u8>,
    /// Whether the transaction at hand is the one.
    is_wanted: bool,
}

impl Watch {
    /// Looks at what is about to be sent to the database.
    fn see(&mut self, chunk: &[u8]) {
        self.tail.extend_from_slice(chunk);
        if contains(&self.tail, ROLLBACK) {
            self.is_wanted = false;
        }
        if self.is_wanted && contains(&self.tail, COMMIT) {
            // From now on the replica hears nothing on this connection.
            self.is_held.store(true, Ordering::SeqCst);
            self.is_wanted = false;
            let _ = self.held.send(());
        }
        let mut needle = self.needle.lock().unwrap_or_else(PoisonError::into_inner);
        if needle.as_ref().is_some_and(|needle| contains(&self.tail, needle)) {
            *needle = None;
            self.is_wanted = true;
            self.tail.clear();
        }
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(needle: &str) -> (Watch, mpsc::Receiver<()>) {
        let (held, receiver) = mpsc::channel();
        let needle = Arc::new(Mutex::new(Some(needle.as_bytes().to_vec())));
        (Watch { needle, is_held: Arc::default(), held, tail: Vec::new(), is_wanted: false }, receiver)
    }

    #[test]
    fn the_commit_of_the_named_transaction_is_held_and_no_other() {
        let (mut watch, held) = watch("lost-1");
        watch.see(COMMIT);
        watch.see(b"INSERT lo");
        watch.see(b"st-1 ...");
        assert!(held.try_recv().is_err());
        watch.see(COMMIT);
        assert!(held.try_recv().is_ok() && watch.is_held.load(Ordering::SeqCst));
    }

    #[test]
    fn a_transaction_that_was_rolled_back_is_not_waited_for() {
        let (mut watch, held) = watch("lost-1");
        watch.see(b"SELECT lost-1");
        watch.see(ROLLBACK);
        watch.see(COMMIT);
        assert!(held.try_recv().is_err() && !watch.is_held.load(Ordering::SeqCst));
    }
}
