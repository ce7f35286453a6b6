//! The store in a real directory: what it refuses and how it says so, what it keeps, and both parts together against a map, with crashes.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use stoa_storage::{Batch, CommitNumber, Family, OpenError, Replayed, Store, StoreOptions, SyncPolicy};
use tempfile::TempDir;

fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        segment_bytes: 64 << 10,
        ..StoreOptions::new(dir)
    }
}

/// Opens and replays everything.
fn open(options: &StoreOptions) -> (Store, Vec<(u64, Vec<u8>)>, Replayed) {
    let mut store = Store::open(options).unwrap();
    let mut shown = Vec::new();
    let from = store.tables.position().unwrap();
    let replayed = store
        .journal
        .replay(from, |number, payload| shown.push((number.0, payload.to_vec())))
        .unwrap();
    (store, shown, replayed)
}

fn refusal(dir: &Path) -> OpenError {
    Store::open(&options(dir)).expect_err("it is refused")
}

#[test]
fn a_directory_belongs_to_one_process() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&options(dir.path())).unwrap();
    let error = refusal(dir.path());
    assert!(
        matches!(error, OpenError::InUse { pid: Some(pid), .. } if pid == std::process::id()),
        "{error:?}"
    );
    assert!(
        error.to_string().contains(&format!("in use by process {}", std::process::id())),
        "{error}"
    );
    // Either part keeps it.
    let Store { journal, tables } = store;
    drop(journal);
    assert!(matches!(refusal(dir.path()), OpenError::InUse { .. }));
    drop(tables);
    Store::open(&options(dir.path())).unwrap();
}

#[test]
fn what_is_no_data_directory_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("below")] {
        assert!(
            matches!(refusal(&path), OpenError::NotADirectory { .. }),
            "{path:?}: {}",
            refusal(&path)
        );
    }
    let error = refusal(dir.path());
    assert!(matches!(&error, OpenError::Foreign { found, .. } if found == "file"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was made in it");
    // What file systems put into their root is nobody's.
    fs::remove_file(&file).unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    Store::open(&options(dir.path())).unwrap();
}

#[test]
fn another_format_is_refused() {
    let dir = TempDir::new().unwrap();
    drop(Store::open(&options(dir.path())).unwrap());
    let format = dir.path().join("FORMAT");
    let text = fs::read_to_string(&format).unwrap();
    fs::write(&format, text.replace("stoa-store 1", "stoa-store 2")).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::Version { found: 2, expected: 1, .. }), "{error}");
    for damaged in ["", "stoa-store", "stoa-store 1\n", "stoa-store 1\nidentity nonsense\n"] {
        fs::write(&format, damaged).unwrap();
        let error = refusal(dir.path());
        assert!(
            matches!(&error, OpenError::Damaged { file, .. } if *file == format),
            "{damaged:?}: {error}"
        );
    }
    fs::write(&format, text).unwrap();
    fs::remove_dir_all(dir.path().join("journal")).unwrap();
    let error = refusal(dir.path());
    assert!(error.to_string().contains("the folder is missing"), "{error}");
}

#[test]
fn a_directory_without_permission_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(dir.path().join("root may do anything"), "").is_ok() {
        return;
    }
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::NoPermission { .. }), "{error}");
}

#[test]
fn an_interrupted_creation_is_begun_anew() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("journal")).unwrap();
    fs::write(dir.path().join("FORMAT.new"), "stoa").unwrap();
    fs::write(dir.path().join("stoa.lock"), "").unwrap();
    drop(Store::open(&options(dir.path())).unwrap());
    fs::write(dir.path().join("journal/00000007.segment.new"), "half").unwrap();
    let (mut store, shown, _) = open(&options(dir.path()));
    assert_eq!(shown, []);
    store.journal.buffer().push(1);
    assert_eq!(store.journal.commit().unwrap(), CommitNumber::FIRST);
    assert!(!dir.path().join("journal/00000007.segment.new").exists());
}

#[test]
fn commits_come_back_however_they_were_written() {
    let dir = TempDir::new().unwrap();
    let payload = |number: u64| vec![number as u8; 1 + (number as usize * 7919) % 150_000];
    let every = Duration::from_millis(1);
    let ways = [
        (SyncPolicy::Always, true),
        (SyncPolicy::Always, false),
        (SyncPolicy::Interval(every), true),
        (SyncPolicy::Never, true),
        (SyncPolicy::Always, true),
    ];
    let mut next = 1;
    for (sync, direct) in ways {
        let options = StoreOptions {
            sync,
            direct,
            ..options(dir.path())
        };
        let (mut store, shown, replayed) = open(&options);
        assert_eq!(replayed.commits, next - 1);
        assert!(shown.into_iter().eq((1..next).map(|number| (number, payload(number)))), "{sync:?}");
        assert_eq!(store.journal.commit().unwrap(), CommitNumber(next - 1), "nothing to commit");
        for _ in 0..20 {
            store.journal.buffer().extend_from_slice(&payload(next));
            assert_eq!(store.journal.pending_bytes(), payload(next).len());
            assert_eq!(store.journal.commit().unwrap(), CommitNumber(next));
            next += 1;
        }
        if next.is_multiple_of(2) {
            store.journal.close().unwrap();
        }
    }
    // A release with the position in the tables: what is before is gone, and the numbers go on.
    let (mut store, ..) = open(&options(dir.path()));
    let live = store.journal.live_bytes();
    store.tables.set_position(store.journal.next_number()).unwrap();
    store.tables.flush().unwrap();
    store.journal.release(store.journal.next_number());
    assert!(store.journal.live_bytes() < 64 << 10 && live > 1 << 20);
    drop(store);
    let (store, shown, _) = open(&options(dir.path()));
    assert_eq!((shown.len(), store.journal.next_number().0), (0, next));
}

#[test]
fn a_damaged_journal_is_refused_with_file_and_offset() {
    let dir = TempDir::new().unwrap();
    let (mut store, ..) = open(&options(dir.path()));
    for number in 0..3_u8 {
        store.journal.buffer().extend([0xa0 + number; 1000]);
        store.journal.commit().unwrap();
    }
    drop(store);
    let segment = fs::read_dir(dir.path().join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let (segment, bytes, at) = segment
        .filter_map(|path| {
            let bytes = fs::read(&path).unwrap();
            let at = bytes.windows(1000).position(|window| window == [0xa1; 1000])?;
            Some((path, bytes, at))
        })
        .next()
        .unwrap();
    let mut damaged = bytes.clone();
    damaged[at + 500] ^= 1;
    fs::write(&segment, &damaged).unwrap();
    let refusal = || {
        let mut store = Store::open(&options(dir.path())).unwrap();
        store.journal.replay(CommitNumber::FIRST, |_, _| {}).unwrap_err()
    };
    let error = refusal();
    let OpenError::Damaged { file, offset, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((file, *offset), (&segment, Some(at as u64 - 48)), "{error}");
    assert!(error.to_string().contains("commit 2 was durable"), "{error}");
    assert_eq!(fs::read(&segment).unwrap(), damaged, "nothing was changed");
    fs::write(&segment, &bytes[..at]).unwrap();
    assert!(refusal().to_string().contains("cut short"), "{}", refusal());
    fs::write(&segment, &bytes).unwrap();
    assert_eq!(open(&options(dir.path())).1.len(), 3);
}

#[test]
fn damaged_tables_are_refused() {
    let dir = TempDir::new().unwrap();
    let (store, ..) = open(&options(dir.path()));
    store.tables.set_position(CommitNumber(1)).unwrap();
    store.tables.flush().unwrap();
    drop(store);
    let manifest = fs::read_dir(dir.path().join("tables")).unwrap().map(|entry| entry.unwrap().path());
    let manifest = manifest
        .into_iter()
        .find(|path| path.to_string_lossy().contains("MANIFEST"))
        .unwrap();
    let mut bytes = fs::read(&manifest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&manifest, bytes).unwrap();
    let error = refusal(dir.path());
    assert!(
        matches!(&error, OpenError::Damaged { file, .. } if file.ends_with("tables")),
        "{error}"
    );
}

#[test]
fn tables_keep_what_batches_say() {
    let dir = TempDir::new().unwrap();
    let Store { tables, .. } = Store::open(&options(dir.path())).unwrap();
    assert_eq!(tables.position().unwrap(), CommitNumber::FIRST);
    let mut batch = Batch::new();
    assert!(batch.is_empty());
    for family in Family::ALL {
        for key in ["a1", "a2", "b1", "b2", "b3", "c"] {
            batch.put(family, key.as_bytes(), family.name().repeat(700).as_bytes());
        }
        batch.delete(family, b"a2");
        batch.delete(family, b"never there");
        batch.delete_range(family, b"b1", b"b3");
    }
    batch.set_position(CommitNumber(42));
    assert_eq!(batch.len(), 7 * 9 + 1);
    tables.write(&batch).unwrap();
    batch.clear();
    assert_eq!((batch.len(), batch.bytes()), (0, 0));

    let keys = |family, prefix: &[u8], max: usize| {
        let mut keys = Vec::new();
        let each = |key: &[u8]| {
            keys.push(String::from_utf8(key.to_vec()).unwrap());
            if keys.len() == max {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        tables.scan_keys(family, prefix, each).unwrap();
        keys
    };
    for flushed in [false, true] {
        for family in Family::ALL {
            let value = family.name().repeat(700).into_bytes();
            assert_eq!(tables.get(family, b"a1").unwrap(), Some(value.clone()));
            assert_eq!(tables.get(family, b"a2").unwrap(), None);
            assert_eq!(
                tables.multi_get(family, &[b"c", b"b1", b"b3"]).unwrap(),
                [Some(value.clone()), None, Some(value.clone())]
            );
            assert_eq!(keys(family, b"", 9), ["a1", "b3", "c"]);
            assert_eq!(keys(family, b"b", 9), ["b3"]);
            assert_eq!(keys(family, b"", 2), ["a1", "b3"]);
            let mut seen = Vec::new();
            let each = |key: &[u8], found: &[u8]| {
                assert_eq!(found, value);
                seen.push(key.to_vec());
                ControlFlow::Continue(())
            };
            tables.scan_range(family, b"a2", b"c", each).unwrap();
            assert_eq!(seen, [b"b3"]);
        }
        assert_eq!(tables.position().unwrap(), CommitNumber(42));
        assert!(tables.bytes_in_memory() > 0 && tables.free_bytes().unwrap() > 0);
        if !flushed {
            tables.flush().unwrap();
            assert!(tables.bytes_on_disk() > 0);
        }
    }
}

#[test]
fn what_is_deleted_leaves_the_disk() {
    let dir = TempDir::new().unwrap();
    let Store { tables, .. } = Store::open(&options(dir.path())).unwrap();
    let mut batch = Batch::new();
    for key in 0..200_u8 {
        batch.put(Family::Chunks, &[1, key], &[key; 50_000]);
    }
    tables.write(&batch).unwrap();
    tables.flush().unwrap();
    let before = tables.bytes_on_disk();
    batch.clear();
    batch.delete_range(Family::Chunks, &[1], &[2]);
    tables.write(&batch).unwrap();
    tables.flush().unwrap();
    tables.compact(Family::Chunks, &[1], &[2]);
    let after = tables.bytes_on_disk();
    assert!(after < before / 10, "{before} {after}");
}
