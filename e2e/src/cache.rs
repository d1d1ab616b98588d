//! Where downloads live: outside of the repository, shared by all clones of one user. Never holds anything that a test wrote, except
//! for the files of a running Kubernetes, which a later command must find.
use std::path::PathBuf;

/// `$XDG_CACHE_HOME/millstream`, or `~/.cache/millstream`.
pub fn cache_dir() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    base.join("millstream")
}
