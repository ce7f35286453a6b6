//! Running a target without a fuzzer.

use std::io;

/// How many made-up inputs are run, and how long they are at most.
const INPUTS: u32 = 200_000;
const SIZE_MAX: u64 = 300;

/// Runs the files that the command line names, or made-up octets if it names none.
///
/// # Errors
/// If a file cannot be read.
pub fn replay(target: fn(&[u8])) -> io::Result<()> {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
    for file in &files {
        target(&std::fs::read(file)?);
    }
    if files.is_empty() {
        let mut random = Random(1);
        (0..INPUTS).for_each(|_| target(&random.octets()));
    }
    Ok(())
}

/// A splitmix64 generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Mostly small numbers and the octets that the protocol likes, so that some of it gets past the first octets.
    fn octets(&mut self) -> Vec<u8> {
        const LIKED: &[u8] = b"\x00\x01\x02\x03\x08\x0a\x14\x28\x32\x3c\x55\x5a\xcetbBsuIilLfdDSATFVx";
        let size = self.next() % SIZE_MAX;
        let mut octet = || match self.next() {
            n if n % 4 == 0 => (n >> 32) as u8,
            n => LIKED[(n >> 32) as usize % LIKED.len()],
        };
        (0..size).map(|_| octet()).collect()
    }
}
