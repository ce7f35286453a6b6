//! Journal and tables together, against a map: every change is committed to the journal and applied to the tables, now and then there is a checkpoint, and
//! the process goes away without a word. What recovery rebuilds is what the map holds (invariant 6).
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use stoa_storage::{Batch, CommitNumber, Family, Store, StoreOptions, SyncPolicy};
use tempfile::TempDir;

type Model = BTreeMap<(usize, Vec<u8>), Vec<u8>>;

#[derive(Clone, Debug)]
enum Change {
    Put(usize, u8, usize),
    Delete(usize, u8),
    DeleteRange(usize, u8, u8),
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Change>),
    /// The position goes into the tables, and they are flushed.
    Checkpoint,
    /// RocksDB flushes when it likes.
    Flush,
    Close,
    Crash,
}

fn change() -> impl Strategy<Value = Change> {
    let family = 0..Family::ALL.len();
    prop_oneof![
        6 => (family.clone(), 0..40_u8, 0..6000_usize).prop_map(|(family, key, bytes)| Change::Put(family, key, bytes)),
        2 => (family.clone(), 0..40_u8).prop_map(|(family, key)| Change::Delete(family, key)),
        1 => (family, 0..40_u8, 0..10_u8).prop_map(|(family, from, count)| Change::DeleteRange(family, from, from + count)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => vec(change(), 1..8).prop_map(Step::Commit),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Flush),
        1 => Just(Step::Close),
        2 => Just(Step::Crash),
    ]
}

impl Change {
    /// Octets for the journal. What they mean is the test's business.
    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, family, key, number) = match *self {
            Self::Put(family, key, bytes) => (0, family, key, bytes),
            Self::Delete(family, key) => (1, family, key, 0),
            Self::DeleteRange(family, from, to) => (2, family, from, usize::from(to)),
        };
        out.extend([kind, family as u8, key, number as u8, (number >> 8) as u8]);
    }

    fn decode(octets: &[u8]) -> Self {
        let (family, key, number) = (
            usize::from(octets[1]),
            octets[2],
            usize::from(octets[3]) | usize::from(octets[4]) << 8,
        );
        match octets[0] {
            0 => Self::Put(family, key, number),
            1 => Self::Delete(family, key),
            _ => Self::DeleteRange(family, key, number as u8),
        }
    }

    fn to_batch(&self, batch: &mut Batch) {
        match *self {
            Self::Put(family, key, bytes) => batch.put(Family::ALL[family], &[b'k', key], &vec![key; bytes]),
            Self::Delete(family, key) => batch.delete(Family::ALL[family], &[b'k', key]),
            Self::DeleteRange(family, from, to) => batch.delete_range(Family::ALL[family], &[b'k', from], &[b'k', to]),
        }
    }

    fn to_model(&self, model: &mut Model) {
        match *self {
            Self::Put(family, key, bytes) => _ = model.insert((family, vec![b'k', key]), vec![key; bytes]),
            Self::Delete(family, key) => _ = model.remove(&(family, vec![b'k', key])),
            Self::DeleteRange(family, from, to) => {
                model.retain(|(in_family, key), _| *in_family != family || !(from..to).contains(&key[1]));
            }
        }
    }
}

fn open(dir: &Path) -> Store {
    let options = StoreOptions {
        segment_bytes: 64 << 10,
        // Only the process goes away, and the test need not wait for the disk.
        sync: SyncPolicy::Never,
        spare_segments_max: 2,
        ..StoreOptions::new(dir)
    };
    let mut store = Store::open(&options).unwrap();
    let tables = store.tables.clone();
    let apply = |_: CommitNumber, payload: &[u8]| {
        let mut batch = Batch::new();
        payload.chunks(5).for_each(|octets| Change::decode(octets).to_batch(&mut batch));
        tables.write(&batch).unwrap();
    };
    store.journal.replay(tables.position().unwrap(), apply).unwrap();
    store
}

fn content(store: &Store) -> Model {
    let mut found = Model::new();
    for (index, family) in Family::ALL.into_iter().enumerate() {
        let each = |key: &[u8], value: &[u8]| {
            found.insert((index, key.to_vec()), value.to_vec());
            ControlFlow::Continue(())
        };
        store.tables.scan(family, b"", each).unwrap();
    }
    found
}

/// In memory where there is such a place: only processes crash here, and RocksDB syncs a lot.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// The files as they are at one moment, which is what a killed process leaves.
fn copy(from: &Path, to: &Path) {
    let list = |folder: &str| {
        let files = fs::read_dir(from.join(folder)).unwrap().map(|entry| entry.unwrap());
        let mut files: Vec<_> = files
            .map(|file| (file.path(), file.metadata().ok().map(|metadata| metadata.len())))
            .collect();
        files.sort();
        files
    };
    for folder in ["", "journal", "tables"] {
        loop {
            let files = list(folder);
            let _ = fs::remove_dir_all(to.join(folder));
            fs::create_dir_all(to.join(folder)).unwrap();
            let copied = files.iter().filter(|(path, _)| path.is_file()).all(|(path, _)| {
                let name = path.file_name().unwrap();
                fs::copy(path, to.join(folder).join(name)).is_ok()
            });
            // RocksDB may have tidied up meanwhile: then again.
            if copied && list(folder) == files {
                break;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn recovery_rebuilds_what_was_committed(steps in vec(step(), 1..60)) {
        let mut dir = folder();
        let mut store = open(dir.path());
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Commit(changes) => {
                    let mut batch = Batch::new();
                    for change in &changes {
                        change.encode(store.journal.buffer());
                        change.to_batch(&mut batch);
                        change.to_model(&mut model);
                    }
                    store.journal.commit().unwrap();
                    store.tables.write(&batch).unwrap();
                }
                Step::Checkpoint => {
                    let position = store.journal.next_number();
                    store.tables.set_position(position).unwrap();
                    store.tables.flush().unwrap();
                    store.journal.release(position);
                }
                Step::Flush => store.tables.flush().unwrap(),
                Step::Close => {
                    let Store { journal, tables } = store;
                    journal.close().unwrap();
                    drop(tables);
                    store = open(dir.path());
                    prop_assert_eq!(&content(&store), &model);
                }
                Step::Crash => {
                    let left = folder();
                    copy(dir.path(), left.path());
                    drop(store);
                    dir = left;
                    store = open(dir.path());
                    prop_assert_eq!(&content(&store), &model);
                }
            }
        }
        prop_assert_eq!(&content(&store), &model);
    }
}
