//! The journal against a model, on a disk that fails: what a commit returned is there after any crash, in order, and nothing else is.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::disk::Disk;
use super::entry::{Checks, Header};
use super::reader::Reader;
use super::segment::{self, Segment};
use super::simulated::{Fault, Random, SimulatedDisk};
use super::writer::Settings;
use super::{CommitNumber, Journal};
use crate::error::OpenError;
use crate::options::SyncPolicy;

const IDENTITY: u64 = 0x5107;
const SEGMENT_BYTES: u64 = 64 << 10;

fn journal(disk: &SimulatedDisk, sync: SyncPolicy) -> Journal {
    let settings = Settings {
        segment_bytes: SEGMENT_BYTES,
        spare_segments_max: 2,
        sync,
        ahead: false,
    };
    Journal::on(Arc::new(disk.clone()), IDENTITY, settings)
}

/// What the outside world knows of a journal.
#[derive(Default)]
struct Model {
    /// What was committed, or may have been.
    commits: BTreeMap<u64, Vec<u8>>,
    /// Up to which it must be there after the power went.
    durable: u64,
    /// Up to which it must be there after the process went: what commits returned.
    returned: u64,
    /// What the tables hold already.
    position: u64,
}

impl Model {
    /// What a replay showed must be a run of what was committed, from the position on, with all in it that must be.
    fn check(&mut self, shown: &[(u64, Vec<u8>)], next: u64, power_went: bool, seed: u64) {
        for (index, (number, payload)) in shown.iter().enumerate() {
            assert_eq!(*number, self.position + index as u64, "seed {seed}: a gap");
            assert!(
                self.commits.get(number) == Some(payload),
                "seed {seed}: commit {number} was invented or changed"
            );
        }
        let last = self.position + shown.len() as u64 - 1;
        let must = if power_went { self.durable } else { self.returned };
        assert!(last >= must, "seed {seed}: commits after {last} up to {must} are lost");
        assert_eq!(next, last + 1, "seed {seed}: the next number");
        self.commits.retain(|number, _| *number <= last);
        (self.durable, self.returned) = (last, last);
    }
}

/// Opens, commits, releases and crashes, a few times over.
fn live_and_die(seed: u64) {
    let mut random = Random(seed);
    let disk = SimulatedDisk::new(seed ^ 0xd15c, if random.one_in(3) { 4096 } else { 512 });
    let sync = if random.one_in(3) { SyncPolicy::Never } else { SyncPolicy::Always };
    let mut model = Model {
        position: 1,
        ..Model::default()
    };
    let mut power_went = false;
    for _ in 0..6 {
        if !random.one_in(4) {
            let operations = random.below(40);
            disk.arm(operations, if random.one_in(3) { Fault::Error } else { Fault::Power });
        }
        let mut journal = journal(&disk, sync);
        let (mut seen, mut shown) = (Vec::new(), Vec::new());
        if let Err(error) = journal.scan(CommitNumber(model.position), |number, payload| {
            seen.push((number.0, payload.to_vec()))
        }) {
            panic!("seed {seed}: {error}");
        }
        match journal.replay(CommitNumber(model.position), |number, payload| {
            shown.push((number.0, payload.to_vec()))
        }) {
            Ok(_) => {
                assert!(seen == shown, "seed {seed}: a scan showed something else than the replay");
                model.check(&shown, journal.next_number().0, power_went, seed);
                power_went = false;
                work(&mut journal, &mut model, &mut random);
            }
            Err(OpenError::Unreadable { .. }) if disk.disarm() => {}
            Err(error) => panic!("seed {seed}: {error}"),
        }
        if random.one_in(3) && journal.writer.is_some() && journal.close().is_ok() {
            model.durable = model.returned;
        }
        disk.disarm();
        if disk.is_off() || random.one_in(3) {
            disk.power_cycle();
            power_went = true;
        }
    }
}

fn work(journal: &mut Journal, model: &mut Model, random: &mut Random) {
    for _ in 0..random.below(30) {
        match random.below(12) {
            0 => {
                let next = journal.next_number().0;
                model.position += random.below(next - model.position + 1);
                journal.release(CommitNumber(model.position));
                // The tables are durable up to there, whatever the journal is.
                model.durable = model.durable.max(model.position - 1);
                model.returned = model.returned.max(model.position - 1);
            }
            1 => match journal.sync() {
                Ok(()) => model.durable = model.returned,
                Err(_) => return,
            },
            _ => {
                let bytes = match random.below(10) {
                    0 => 60_000 + random.below(140_000),
                    1..4 => random.below(20_000),
                    _ => random.below(600),
                };
                let payload = random.bytes(1 + bytes as usize);
                journal.buffer().extend_from_slice(&payload);
                let number = journal.next_number().0;
                model.commits.insert(number, payload);
                match journal.commit() {
                    Ok(committed) => {
                        assert_eq!(committed.0, number);
                        model.returned = number;
                        if journal.settings.sync == SyncPolicy::Always {
                            model.durable = number;
                        }
                    }
                    Err(first) => {
                        journal.buffer().push(1);
                        assert_eq!(journal.commit().unwrap_err().to_string(), first.to_string());
                        return;
                    }
                }
            }
        }
    }
}

#[test]
fn what_was_committed_survives_and_nothing_is_invented() {
    let seeds = std::env::var("STOA_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(2000);
    for seed in 0..seeds {
        live_and_die(seed);
    }
}

/// Every entry of a journal: where it is, and its header.
fn entries(disk: &SimulatedDisk) -> Vec<(Segment, u64, Header)> {
    let checks = Checks::new(IDENTITY);
    let mut found = Vec::new();
    for name in disk.list().unwrap() {
        let segment = Segment::open(disk, segment::id(&name).unwrap()).unwrap();
        let mut reader = Reader::new(&checks, segment.clone());
        let mut push = |offset, header: Header| found.push((segment.clone(), offset, header));
        let mut commits = |offset, header: Header| {
            if !header.is_mark() {
                push(offset, header)
            }
        };
        reader.headers(0, &mut commits).unwrap();
    }
    found.sort_by_key(|(_, _, header)| (header.number, header.part));
    found
}

fn filled(seed: u64, commits: u64) -> (SimulatedDisk, Random) {
    let mut random = Random(seed);
    let disk = SimulatedDisk::new(seed, 512);
    let mut journal = journal(&disk, SyncPolicy::Always);
    journal.replay(CommitNumber::FIRST, |_, _| {}).unwrap();
    for _ in 0..commits {
        let bytes = if random.one_in(8) {
            random.below(150_000)
        } else {
            random.below(20_000)
        };
        journal.buffer().extend((0..=bytes).map(|i| i as u8));
        journal.commit().unwrap();
    }
    (disk, random)
}

#[test]
fn damage_before_intact_commits_is_refused_and_named() {
    for seed in 0..300 {
        let (disk, mut random) = filled(seed, 20);
        let entries = entries(&disk);
        let last = entries.last().unwrap().2.number;
        let (segment, offset, header) = &entries[random.below(entries.len() as u64) as usize];
        let bytes = 48 + u64::from(header.payload_bytes);
        disk.damage(&segment.name, (offset + random.below(bytes)) as usize);

        let mut shown = 0;
        let outcome = journal(&disk, SyncPolicy::Always).replay(CommitNumber::FIRST, |_, _| shown += 1);
        assert_eq!(shown, header.number - 1, "seed {seed}");
        match outcome {
            Err(OpenError::Damaged { file, offset: at, what }) if header.number < last => {
                assert!(
                    what.contains(&format!("commit {} was durable", header.number)),
                    "seed {seed}: {what}"
                );
                let alone = entries.iter().filter(|(other, _, _)| other.name == segment.name).count() == 1;
                // A segment whose only header is gone cannot be told from a spare one: its predecessor is named.
                assert!(
                    alone || (file == segment.path && at == Some(*offset)),
                    "seed {seed}: {file:?} {at:?}"
                );
            }
            // Nothing says that the last commit was durable: it looks like one that a crash cut short.
            Ok(replayed) if header.number == last => assert_eq!(replayed.commits, last - 1),
            outcome => panic!("seed {seed}: commit {} of {last}: {outcome:?}", header.number),
        }
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let (disk, _) = filled(1, 20);
    let entries = entries(&disk);
    let (first, last) = (&entries[0].0.name, &entries.last().unwrap().0.name);
    for (segment, _, header) in entries.iter().filter(|(segment, offset, _)| *offset == 0 && segment.name != *last) {
        let (disk, _) = filled(1, 20);
        disk.remove_quietly(&segment.name);
        let outcome = journal(&disk, SyncPolicy::Always).replay(CommitNumber::FIRST, |_, _| {});
        let Err(OpenError::Damaged { what, .. }) = outcome else {
            panic!("without {} (first: {first}), commit {}: {outcome:?}", segment.name, header.number);
        };
        assert!(what.contains("was durable"), "{what}");
    }
    for name in disk.list().unwrap() {
        disk.remove_quietly(&name);
    }
    let outcome = journal(&disk, SyncPolicy::Always).replay(CommitNumber(5), |_, _| {});
    assert!(matches!(outcome, Err(OpenError::Damaged { .. })), "{outcome:?}");
}

#[test]
fn segments_are_recycled_and_the_rest_is_deleted() {
    let disk = SimulatedDisk::new(1, 512);
    let mut journal = journal(&disk, SyncPolicy::Always);
    journal.replay(CommitNumber::FIRST, |_, _| {}).unwrap();
    let commit = |journal: &mut Journal| {
        journal.buffer().extend([7; 20_000]);
        journal.commit().unwrap()
    };
    for _ in 0..30 {
        commit(&mut journal);
    }
    assert_eq!(disk.list().unwrap().len(), 10);
    assert_eq!(journal.live_bytes(), 9 * SEGMENT_BYTES + 3 * 20_480);
    journal.release(CommitNumber(29));
    assert_eq!(disk.list().unwrap().len(), 3);
    assert_eq!(journal.live_bytes(), 3 * 20_480);
    let before = disk.list().unwrap();
    for _ in 0..300 {
        let number = commit(&mut journal);
        journal.release(number);
    }
    assert_eq!(disk.list().unwrap(), before);
}

#[test]
fn an_interval_syncs_in_the_background() {
    let disk = SimulatedDisk::new(1, 512);
    let interval = SyncPolicy::Interval(std::time::Duration::ZERO);
    let mut first = journal(&disk, interval);
    first.replay(CommitNumber::FIRST, |_, _| {}).unwrap();
    for _ in 0..50 {
        first.buffer().extend([7; 5000]);
        first.commit().unwrap();
    }
    drop(first);
    disk.power_cycle();

    let mut second = journal(&disk, interval);
    assert_eq!(second.replay(CommitNumber::FIRST, |_, _| {}).unwrap().commits, 50);
    // The next operations are a write and a sync. Whichever fails, some commit is told, and all after it.
    disk.arm(1, Fault::Error);
    let first_error = loop {
        second.buffer().push(1);
        if let Err(error) = second.commit() {
            break error.to_string();
        }
    };
    second.buffer().push(1);
    assert_eq!(second.commit().unwrap_err().to_string(), first_error);
    assert_eq!(second.sync().unwrap_err().to_string(), first_error);
    assert_eq!(second.close().unwrap_err().to_string(), first_error);
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    let disk = SimulatedDisk::new(1, 512);
    let mut journal = journal(&disk, SyncPolicy::Always);
    journal.replay(CommitNumber::FIRST, |_, _| {}).unwrap();
    disk.arm(1, Fault::Error);
    journal.buffer().push(1);
    let error = journal.commit().unwrap_err().to_string();
    assert!(error.contains("cannot sync the journal"), "{error}");
    assert!(disk.disarm());
    journal.buffer().push(2);
    assert_eq!(journal.commit().unwrap_err().to_string(), error);
    assert_eq!(journal.sync().unwrap_err().to_string(), error);
}
