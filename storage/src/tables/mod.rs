//! What stays: keys and values in a few families, over RocksDB with its own log off.
//!
//! Writes are atomic and visible at once, but durable only after a [flush](Tables::flush); the journal holds them until then. RocksDB may
//! flush by itself, always all families together, so what a crash leaves is a prefix of the batches, and the position in it is true.

mod batch;
mod options;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use rocksdb::{ColumnFamily, DB, PrefixRange, ReadOptions, WriteBatch};

pub use batch::Batch;

use crate::directory::Directory;
use crate::error::{OpenError, TableError};
use crate::journal::CommitNumber;
use crate::options::StoreOptions;

/// Where a key lives. Each is a column family, stored and flushed beside the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Topology, and the position in the journal.
    Meta,
    /// Chunks of queues. Values of 4 KiB and above are kept in blob files.
    Chunks,
    /// Large message bodies. Values of 4 KiB and above are kept in blob files.
    Bodies,
    /// The index of the chunks: heads and bitmaps.
    Acks,
    /// The tuples of spaces.
    Tuples,
    /// By which fields tuples are found.
    TupleIndexes,
    /// What is due when.
    Due,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Meta,
        Self::Chunks,
        Self::Bodies,
        Self::Acks,
        Self::Tuples,
        Self::TupleIndexes,
        Self::Due,
    ];

    /// The name of the column family. RocksDB wants one to be called `default`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "default",
            Self::Chunks => "chunks",
            Self::Bodies => "bodies",
            Self::Acks => "acks",
            Self::Tuples => "tuples",
            Self::TupleIndexes => "tuple-indexes",
            Self::Due => "due",
        }
    }
}

/// The key in [`Family::Meta`] under which the position is kept. Nobody else may use it; no scan shows it.
pub(crate) const POSITION_KEY: &[u8] = b"\0position";

/// The tables of an open store. Cheap to clone; closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Tables(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: DB,
    // After the database: it is unlocked when that is closed.
    directory: Arc<Directory>,
}

impl Tables {
    pub(crate) fn open(store: &StoreOptions, directory: Arc<Directory>) -> Result<Self, OpenError> {
        let path = directory.tables();
        match DB::open_cf_descriptors(&options::database(store), &path, options::families(store)) {
            Ok(db) => Ok(Self(Arc::new(Inner { db, directory }))),
            Err(error) => Err(open_error(&path, error)),
        }
    }

    /// Applies the whole batch or nothing of it.
    ///
    /// # Errors
    /// If RocksDB refuses. Nothing of the batch is there then.
    pub fn write(&self, batch: &Batch) -> Result<(), TableError> {
        let mut out = WriteBatch::with_capacity_bytes(batch.encoded_bytes());
        batch.replay(&mut out, |family| self.handle(family));
        self.0.db.write_without_wal(out).map_err(TableError::new("write", None))
    }

    /// The value under a key.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        let pinned = self.0.db.get_pinned_cf(self.handle(family), key);
        Ok(pinned.map_err(TableError::new("read", Some(family)))?.map(|value| value.to_vec()))
    }

    /// The values under several keys, in their order. Cheaper than one by one.
    ///
    /// # Errors
    /// If one of them cannot be read, or is damaged.
    pub fn multi_get(&self, family: Family, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, TableError> {
        let found = self.0.db.batched_multi_get_cf(self.handle(family), keys.iter().copied(), false);
        found
            .into_iter()
            .map(|value| Ok(value.map_err(TableError::new("read", Some(family)))?.map(|value| value.to_vec())))
            .collect()
    }

    /// Shows every key that begins with `prefix`, in order, with its value, until told to stop. Sees the state at its beginning.
    ///
    /// # Errors
    /// If something cannot be read, or is damaged. What was shown before is true.
    pub fn scan(&self, family: Family, prefix: &[u8], each: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>) -> Result<(), TableError> {
        let mut range = ReadOptions::default();
        range.set_iterate_range(PrefixRange(prefix));
        self.scan_with(family, range, prefix, each)
    }

    /// The same for the keys from `from` (included) to `to` (excluded).
    ///
    /// # Errors
    /// If something cannot be read, or is damaged. What was shown before is true.
    pub fn scan_range(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        each: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), TableError> {
        let mut range = ReadOptions::default();
        range.set_iterate_upper_bound(to);
        self.scan_with(family, range, from, each)
    }

    /// Shows every key that begins with `prefix`, in order, until told to stop.
    ///
    /// # Errors
    /// If something cannot be read, or is damaged. What was shown before is true.
    pub fn scan_keys(&self, family: Family, prefix: &[u8], mut each: impl FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), TableError> {
        self.scan(family, prefix, |key, _| each(key))
    }

    fn scan_with(
        &self,
        family: Family,
        mut range: ReadOptions,
        from: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), TableError> {
        range.fill_cache(false);
        let mut cursor = self.0.db.raw_iterator_cf_opt(self.handle(family), range);
        cursor.seek(from);
        while let Some((key, value)) = cursor.item() {
            let hidden = family == Family::Meta && key == POSITION_KEY;
            if !hidden && each(key, value).is_break() {
                return Ok(());
            }
            cursor.next();
        }
        cursor.status().map_err(TableError::new("read", Some(family)))
    }

    /// Makes everything durable that was written before. Waits for it; all families go together.
    ///
    /// # Errors
    /// If it could not be written. The tables refuse writes from then on.
    pub fn flush(&self) -> Result<(), TableError> {
        let families = Family::ALL.map(|family| self.handle(family));
        let flushed = self.0.db.flush_cfs_opt(&families, &rocksdb::FlushOptions::default());
        flushed.map_err(TableError::new("flush", None))
    }

    /// Gives back to the file system what was deleted from `from` (included) to `to` (excluded). After large deletions by range; single ones do without. Takes
    /// its time: it rewrites what is left there.
    pub fn compact(&self, family: Family, from: &[u8], to: &[u8]) {
        self.0.db.compact_range_cf(self.handle(family), Some(from), Some(to));
    }

    /// The first commit that is not in the tables, from which the journal is to be replayed. [`CommitNumber::FIRST`] in a new store.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn position(&self) -> Result<CommitNumber, TableError> {
        let Some(value) = self.get(Family::Meta, POSITION_KEY)? else {
            return Ok(CommitNumber::FIRST);
        };
        match <[u8; 8]>::try_from(value.as_slice()) {
            Ok(octets) => Ok(CommitNumber(u64::from_le_bytes(octets))),
            Err(_) => Err(TableError {
                action: "read",
                family: Some(Family::Meta),
                damaged: true,
                what: format!("the position has {} octets, not 8", value.len()),
            }),
        }
    }

    /// Says that everything before `position` is in the tables. A batch can carry that too ([`Batch::set_position`]).
    ///
    /// # Errors
    /// If RocksDB refuses.
    pub fn set_position(&self, position: CommitNumber) -> Result<(), TableError> {
        let mut batch = Batch::new();
        batch.set_position(position);
        self.write(&batch)
    }

    /// What the tables take on disk, in bytes.
    pub fn bytes_on_disk(&self) -> u64 {
        let property = |family, name: &str| self.0.db.property_int_value_cf(self.handle(family), name).ok().flatten();
        let families = Family::ALL.into_iter();
        families
            .flat_map(|family| ["rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size"].map(|name| property(family, name)))
            .flatten()
            .sum()
    }

    /// What the tables' write buffers hold in memory, in bytes.
    pub fn bytes_in_memory(&self) -> u64 {
        let property = |family| {
            self.0
                .db
                .property_int_value_cf(self.handle(family), "rocksdb.cur-size-all-mem-tables")
        };
        Family::ALL.into_iter().filter_map(|family| property(family).ok().flatten()).sum()
    }

    /// What can still be written to the file system that holds the data directory, in bytes.
    ///
    /// # Errors
    /// If the operating system does not say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        self.0.directory.free_bytes()
    }

    fn handle(&self, family: Family) -> &ColumnFamily {
        // All of them were named when the database was opened, and none is ever dropped.
        self.0.db.cf_handle(family.name()).expect("every family is open")
    }
}

fn open_error(path: &std::path::Path, error: rocksdb::Error) -> OpenError {
    let kind = error.kind();
    let what = error.into_string();
    match kind {
        rocksdb::ErrorKind::IOError => OpenError::io("open", path)(io::Error::other(what)),
        _ => OpenError::Damaged {
            file: path.to_path_buf(),
            offset: None,
            what,
        },
    }
}
