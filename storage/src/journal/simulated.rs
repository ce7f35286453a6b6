//! A disk in memory that does what disks do when the power goes: what was not synced is there, gone, or torn, sector by sector.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Disk, DiskFile};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The power goes in the middle of the operation. Every later one fails.
    Power,
    /// The operation fails, and has happened in part. A failed sync takes what it was to write for written, as Linux does.
    Error,
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// So many octets.
    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(len);
        bytes
    }

    /// In one of so many cases.
    pub(super) fn one_in(&mut self, cases: u64) -> bool {
        self.below(cases) == 0
    }
}

/// The disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub(super) struct SimulatedDisk(Arc<Mutex<World>>);

#[derive(Debug)]
struct World {
    random: Random,
    block_bytes: u64,
    files: BTreeMap<String, Contents>,
    /// How many operations until something goes wrong.
    fault_in: Option<(u64, Fault)>,
    fault_happened: bool,
    off: bool,
}

#[derive(Clone, Debug)]
struct Contents {
    /// What reads see.
    live: Vec<u8>,
    /// What survives.
    durable: Vec<u8>,
    unsynced: BTreeSet<usize>,
}

impl SimulatedDisk {
    pub(super) fn new(seed: u64, block_bytes: u64) -> Self {
        Self(Arc::new(Mutex::new(World {
            random: Random(seed),
            block_bytes,
            files: BTreeMap::new(),
            fault_in: None,
            fault_happened: false,
            off: false,
        })))
    }

    /// Something will go wrong after so many operations.
    pub(super) fn arm(&self, operations: u64, fault: Fault) {
        let mut world = self.0.lock();
        world.fault_in = Some((operations, fault));
        world.fault_happened = false;
    }

    /// Nothing will go wrong. Says whether something did.
    pub(super) fn disarm(&self) -> bool {
        let mut world = self.0.lock();
        world.fault_in = None;
        std::mem::take(&mut world.fault_happened)
    }

    /// The power goes, if it is not gone, and comes back.
    pub(super) fn power_cycle(&self) {
        let mut world = self.0.lock();
        let World { random, files, off, .. } = &mut *world;
        for contents in files.values_mut() {
            contents.settle(random);
            contents.live.clone_from(&contents.durable);
        }
        *off = false;
    }

    pub(super) fn is_off(&self) -> bool {
        self.0.lock().off
    }

    /// Changes an octet, as bad disks do.
    pub(super) fn damage(&self, name: &str, offset: usize) {
        let mut world = self.0.lock();
        let contents = world.files.get_mut(name).expect("a file that is there");
        contents.live[offset] ^= 0x40;
        contents.durable[offset] ^= 0x40;
    }

    pub(super) fn remove_quietly(&self, name: &str) {
        self.0.lock().files.remove(name);
    }
}

impl Contents {
    /// Some of what was not synced reaches the disk, and some does not.
    fn settle(&mut self, random: &mut Random) {
        for sector in std::mem::take(&mut self.unsynced) {
            if random.one_in(2) {
                self.make_durable(sector);
            }
        }
    }

    fn make_durable(&mut self, sector: usize) {
        let at = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
        self.durable[at.clone()].copy_from_slice(&self.live[at]);
    }
}

impl World {
    /// Counts an operation; says what goes wrong in it.
    fn operation(&mut self) -> io::Result<Option<Fault>> {
        if self.off {
            return Err(io::Error::other("the power is off"));
        }
        match &mut self.fault_in {
            Some((0, fault)) => {
                let fault = *fault;
                self.fault_in = None;
                self.fault_happened = true;
                self.off = fault == Fault::Power;
                Ok(Some(fault))
            }
            Some((operations, _)) => {
                *operations -= 1;
                Ok(None)
            }
            None => Ok(None),
        }
    }
}

fn failed() -> io::Error {
    io::Error::other("the disk failed")
}

impl Disk for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().files.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let bytes = self.0.lock().files[name].live.len() as u64;
        let (disk, name) = (self.clone(), name.to_owned());
        Ok(Arc::new(SimulatedFile { disk, name, bytes }))
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.0.lock();
        let fault = world.operation()?;
        if fault != Some(Fault::Error) && (fault.is_none() || world.random.one_in(2)) {
            let zeros = vec![0; bytes as usize];
            let contents = Contents {
                live: zeros.clone(),
                durable: zeros,
                unsynced: BTreeSet::new(),
            };
            world.files.insert(name.to_owned(), contents);
        }
        drop(world);
        if fault.is_some() { Err(failed()) } else { self.open(name) }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.0.lock();
        let fault = world.operation()?;
        if fault.is_none() || world.random.one_in(2) {
            world.files.remove(name);
        }
        if fault.is_some() { Err(failed()) } else { Ok(()) }
    }

    fn block_bytes(&self) -> u64 {
        self.0.lock().block_bytes
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("simulated").join(name)
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    name: String,
    bytes: u64,
}

impl SimulatedFile {
    /// Direct I/O would refuse what is not aligned.
    fn check(&self, offset: u64, bytes: &[u8]) {
        let block_bytes = self.disk.block_bytes();
        assert!(offset.is_multiple_of(block_bytes) && (bytes.len() as u64).is_multiple_of(block_bytes));
        assert_eq!(bytes.as_ptr().align_offset(SECTOR_BYTES), 0);
        assert!(offset + bytes.len() as u64 <= self.bytes, "files do not grow");
    }
}

impl DiskFile for SimulatedFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.check(offset, into);
        let world = self.disk.0.lock();
        let contents = &world.files[&self.name];
        into.copy_from_slice(&contents.live[offset as usize..][..into.len()]);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check(offset, bytes);
        let mut world = self.disk.0.lock();
        let fault = world.operation()?;
        let World { random, files, .. } = &mut *world;
        let contents = files.get_mut(&self.name).ok_or_else(failed)?;
        for (index, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
            if fault.is_none() || random.one_in(2) {
                let at = offset as usize + index * SECTOR_BYTES;
                contents.live[at..at + SECTOR_BYTES].copy_from_slice(sector);
                contents.unsynced.insert(at / SECTOR_BYTES);
            }
        }
        if fault.is_some() { Err(failed()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.0.lock();
        let fault = world.operation()?;
        let World { random, files, .. } = &mut *world;
        let contents = files.get_mut(&self.name).ok_or_else(failed)?;
        match fault {
            None => {
                for sector in std::mem::take(&mut contents.unsynced) {
                    contents.make_durable(sector);
                }
                Ok(())
            }
            Some(Fault::Error) => {
                contents.settle(random);
                Err(failed())
            }
            Some(Fault::Power) => Err(failed()),
        }
    }
}
