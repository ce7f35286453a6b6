//! What can go wrong, said so that whoever runs the broker knows what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::tables::Family;

/// Why a data directory was not opened, or its journal not replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("{dir} is in use by {}: stop that one, or choose another data directory", holder(*pid))]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The process that has it, as far as it says.
        pid: Option<u32>,
    },
    /// It was written in a format that this version does not read.
    #[error(
        "{dir} has format {found}, and this version of Stoa reads format {expected}: start the version that wrote it, or choose another data directory"
    )]
    Version {
        /// The data directory.
        dir: PathBuf,
        /// The format of the directory.
        found: u32,
        /// The format of this version.
        expected: u32,
    },
    /// It holds something, and not a store.
    #[error("{dir} is not a data directory of Stoa: it has {found} but no FORMAT file; choose an empty or a new directory")]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// One of the things in it.
        found: String,
    },
    /// There is a file where the directory should be.
    #[error("{dir} is not a directory: choose another data directory")]
    NotADirectory {
        /// The path that was given.
        dir: PathBuf,
    },
    /// The process may not read or write there.
    #[error(
        "no permission to {action} {path}: give it to the user that runs Stoa ({}), or choose another data directory",
        user()
    )]
    NoPermission {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
    },
    /// Something that was durable is missing or is not what was written. Nothing was changed.
    #[error("{}{} is damaged: {what}; nothing was changed: restore the data directory from a backup", file.display(), at(*offset))]
    Damaged {
        /// The damaged file, or the directory where one is missing.
        file: PathBuf,
        /// Where in the file, in bytes.
        offset: Option<u64>,
        /// What is wrong.
        what: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}: {error}")]
    Unreadable {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        error: io::Error,
    },
}

impl OpenError {
    /// Sorts what the operating system said.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::NoPermission { action, path },
            _ => Self::Unreadable { action, path, error },
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

fn at(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| format!(" (at octet {offset})"))
}

fn user() -> String {
    format!("id {}", rustix::process::geteuid().as_raw())
}

/// Why a commit failed. The journal takes none after it: what the disk holds is not known any more, and only a restart finds out.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The operating system refused.
    #[error("cannot {action} the journal, {file}: {error}; nothing is stored any more until Stoa is restarted")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// The segment.
        file: PathBuf,
        /// What the operating system said.
        error: Arc<io::Error>,
    },
    /// The commit is larger than any may be.
    #[error("a commit of {bytes} bytes is more than the journal takes at once ({bytes_max})")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

/// Why the tables did not do what they were told. After a failed write or flush they refuse further writes until the store is opened again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {action} the tables{}: {what}", family.map_or_else(String::new, |family| format!(" ({})", family.name())))]
pub struct TableError {
    /// What was tried.
    pub action: &'static str,
    /// Where, if it was one family.
    pub family: Option<Family>,
    /// Whether stored data was found to be damaged.
    pub damaged: bool,
    /// What RocksDB said.
    pub what: String,
}

impl TableError {
    pub(crate) fn new(action: &'static str, family: Option<Family>) -> impl FnOnce(rocksdb::Error) -> Self {
        move |error| Self {
            action,
            family,
            damaged: error.kind() == rocksdb::ErrorKind::Corruption,
            what: error.into_string(),
        }
    }
}
