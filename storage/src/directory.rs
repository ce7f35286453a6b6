//! The data directory itself: who has it, what version it is of, how much room is left. What is in its folders is the business of others.

use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// The version of everything in a data directory.
const FORMAT: u32 = 1;

const LOCK_FILE: &str = "stoa.lock";
const FORMAT_FILE: &str = "FORMAT";
const FORMAT_FILE_NEW: &str = "FORMAT.new";
const JOURNAL: &str = "journal";
const TABLES: &str = "tables";

/// A data directory that this process alone has open, until this is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Random, made with the store. It goes into the journal's checksums, so that nothing but this store's journal can look like it.
    identity: u64,
    _lock: File,
}

impl Directory {
    /// Locks the directory at `path`; makes a store in it if it is missing or empty.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => return Err(OpenError::NotADirectory { dir: path.to_path_buf() }),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(not_a_directory(path, "open")(error)),
            _ => fs::create_dir_all(path).map_err(not_a_directory(path, "create"))?,
        }
        if !path.join(FORMAT_FILE).exists() {
            refuse_foreign(path)?;
        }
        let lock = lock(path)?;
        let identity = match read_format(path)? {
            Some(identity) => identity,
            None => create(path)?,
        };
        let directory = Self {
            path: path.to_path_buf(),
            identity,
            _lock: lock,
        };
        for folder in [directory.journal(), directory.tables()] {
            if !folder.is_dir() {
                return Err(OpenError::Damaged {
                    file: folder,
                    offset: None,
                    what: "the folder is missing".to_owned(),
                });
            }
        }
        Ok(directory)
    }

    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    pub(crate) fn tables(&self) -> PathBuf {
        self.path.join(TABLES)
    }

    /// What an unprivileged process can still write to the file system, in bytes.
    pub(crate) fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

fn not_a_directory(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> OpenError {
    move |error| match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => OpenError::NotADirectory { dir: path.to_path_buf() },
        _ => OpenError::io(action, path)(error),
    }
}

/// A directory without a format must hold nothing but what an interrupted creation leaves there, and what file systems put there.
fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    let io = |error| OpenError::io("read", path)(error);
    for entry in fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let ours = match name.to_str() {
            Some(LOCK_FILE | FORMAT_FILE_NEW | "lost+found") => true,
            Some(JOURNAL | TABLES) => fs::read_dir(entry.path()).is_ok_and(|mut inside| inside.next().is_none()),
            _ => false,
        };
        if !ours {
            return Err(OpenError::Foreign {
                dir: path.to_path_buf(),
                found: name.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let file_path = path.join(LOCK_FILE);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&file_path)
        .map_err(OpenError::io("open", &file_path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Best effort: the message is clear without it.
            let _ = file.take(20).read_to_string(&mut pid);
            return Err(OpenError::InUse {
                dir: path.to_path_buf(),
                pid: pid.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(OpenError::io("lock", &file_path)(error)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(OpenError::io("write", &file_path))?;
    Ok(file)
}

/// The identity of the store, or `None` if there is none yet.
fn read_format(path: &Path) -> Result<Option<u64>, OpenError> {
    let file = path.join(FORMAT_FILE);
    let text = match fs::read(&file) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::io("read", &file)(error)),
    };
    let mut words = text.split_whitespace();
    let mut word_after = |label: &str| words.next().filter(|word| *word == label).and_then(|_| words.next());
    let found: Option<u32> = word_after("stoa-store").and_then(|word| word.parse().ok());
    match found {
        Some(FORMAT) => {}
        Some(found) => {
            return Err(OpenError::Version {
                dir: path.to_path_buf(),
                found,
                expected: FORMAT,
            });
        }
        None => return Err(damaged_format(file)),
    }
    match word_after("identity").and_then(|word| u64::from_str_radix(word, 16).ok()) {
        Some(identity) => Ok(Some(identity)),
        None => Err(damaged_format(file)),
    }
}

fn damaged_format(file: PathBuf) -> OpenError {
    OpenError::Damaged {
        file,
        offset: None,
        what: "it does not say which format the directory has".to_owned(),
    }
}

/// Makes the folders, and then the file that says they are there: a crash in between leaves an empty directory, which is begun anew.
fn create(path: &Path) -> Result<u64, OpenError> {
    // The standard library seeds it from the operating system's randomness.
    let identity = RandomState::new().hash_one(std::process::id());
    for folder in [JOURNAL, TABLES] {
        let folder = path.join(folder);
        fs::create_dir_all(&folder).map_err(OpenError::io("create", &folder))?;
    }
    let (file_new, file) = (path.join(FORMAT_FILE_NEW), path.join(FORMAT_FILE));
    let write = || {
        let mut out = File::create(&file_new)?;
        write!(out, "stoa-store {FORMAT}\nidentity {identity:016x}\n")?;
        out.sync_all()?;
        fs::rename(&file_new, &file)?;
        File::open(path)?.sync_all()
    };
    write().map_err(OpenError::io("write", &file))?;
    Ok(identity)
}
