//! One entry of a segment, octet by octet.
//!
//! ```text
//!  0  magic u32           "StJ1": an entry of version 1
//!  4  header check u32    over octets 8 to 48
//!  8  payload check u32
//! 12  payload size u32
//! 16  span u32            from this entry to where the next one begins: header, payload and padding
//! 20  part u16            of a commit that is larger than a segment: which part of it
//! 22  parts u16           and of how many; 0: a mark, without a payload
//! 24  number u64          of the commit; of a mark: of the commit that comes next
//! 32  generation u64      grows with each opening of the journal (upper half) and with each use of a segment (lower half)
//! 40  synced u64          the last commit that was durable when this entry was written
//! 48  payload...
//! ```
//! Integers are little-endian. The checks are CRC-32, seeded with the store's identity: a payload cannot be made to look like an entry by whoever
//! does not know it, and another store's segment is not taken for one's own.
//!
//! The generation rules out what an earlier use of the segment left, and what an earlier process wrote that did not survive. For that no opening may ever be
//! counted twice: each begins with a mark, which is durable before anything else is written. `synced` tells a write that a crash cut short
//! from damage: what some intact entry says was durable must be there.

/// The size of a header.
pub(super) const HEADER_BYTES: usize = 48;

/// Entries begin at multiples of this, whatever the disk wants beyond that.
pub(super) const STEP_BYTES: u64 = 512;

const MAGIC: [u8; 4] = *b"StJ1";

/// What is said about a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) payload_bytes: u32,
    pub(super) span_bytes: u32,
    pub(super) part: u16,
    pub(super) parts: u16,
    pub(super) number: u64,
    pub(super) generation: u64,
    pub(super) synced: u64,
}

/// The first generation of an opening of the journal in which generations up to `seen` are found.
pub(super) fn next_opening(seen: u64) -> u64 {
    ((seen >> 32) + 1) << 32
}

impl Header {
    /// Whether it only says that the journal was opened or closed here.
    pub(super) fn is_mark(&self) -> bool {
        self.parts == 0
    }

    /// Whether this is what comes after the last entry, which belonged to a commit of several parts that were not all there.
    pub(super) fn continues(&self, last: &Self) -> bool {
        self.number == last.number && self.parts == last.parts && Some(self.part) == last.part.checked_add(1)
    }
}

/// Makes and verifies the checks of one store.
#[derive(Clone, Debug)]
pub(super) struct Checks(crc32fast::Hasher);

impl Checks {
    /// The checks of the store with this identity.
    pub(super) fn new(identity: u64) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&identity.to_le_bytes());
        Self(hasher)
    }

    fn of(&self, bytes: &[u8]) -> u32 {
        let mut hasher = self.0.clone();
        hasher.update(bytes);
        hasher.finalize()
    }

    /// The header as it is written in front of the payload.
    pub(super) fn encode(&self, header: &Header, payload: &[u8]) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..4].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&self.of(payload).to_le_bytes());
        out[12..16].copy_from_slice(&header.payload_bytes.to_le_bytes());
        out[16..20].copy_from_slice(&header.span_bytes.to_le_bytes());
        out[20..22].copy_from_slice(&header.part.to_le_bytes());
        out[22..24].copy_from_slice(&header.parts.to_le_bytes());
        out[24..32].copy_from_slice(&header.number.to_le_bytes());
        out[32..40].copy_from_slice(&header.generation.to_le_bytes());
        out[40..48].copy_from_slice(&header.synced.to_le_bytes());
        let check = self.of(&out[8..]);
        out[4..8].copy_from_slice(&check.to_le_bytes());
        out
    }

    /// The header at the beginning of `bytes`, if there is an intact one.
    pub(super) fn header(&self, bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
        if bytes[..4] != MAGIC || u32_at(bytes, 4) != self.of(&bytes[8..]) {
            return None;
        }
        let header = Header {
            payload_bytes: u32_at(bytes, 12),
            span_bytes: u32_at(bytes, 16),
            part: u16::from_le_bytes([bytes[20], bytes[21]]),
            parts: u16::from_le_bytes([bytes[22], bytes[23]]),
            number: u64_at(bytes, 24),
            generation: u64_at(bytes, 32),
            synced: u64_at(bytes, 40),
        };
        let fits = HEADER_BYTES as u64 + u64::from(header.payload_bytes) <= u64::from(header.span_bytes);
        let known = header.part < header.parts || (header.is_mark() && header.part == 0 && header.payload_bytes == 0);
        (fits && known && u64::from(header.span_bytes).is_multiple_of(STEP_BYTES)).then_some(header)
    }

    /// The payload behind an intact header, if it is intact too. `entry` begins with the header and has the whole span.
    pub(super) fn payload<'a>(&self, header: &Header, entry: &'a [u8]) -> Option<&'a [u8]> {
        let payload = entry.get(HEADER_BYTES..)?.get(..header.payload_bytes as usize)?;
        (self.of(payload) == u32_at(entry, 8)).then_some(payload)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn example() -> Header {
        Header {
            payload_bytes: 7,
            span_bytes: 512,
            part: 1,
            parts: 3,
            number: 1 << 40,
            generation: 9,
            synced: (1 << 40) - 1,
        }
    }

    #[test]
    fn what_was_written_reads_back() {
        let checks = Checks::new(1);
        let mut entry = checks.encode(&example(), b"payload").to_vec();
        entry.extend_from_slice(b"payload, padding");
        assert_eq!(checks.header(&entry), Some(example()));
        assert_eq!(checks.payload(&example(), &entry), Some(&b"payload"[..]));
    }

    #[test]
    fn any_changed_octet_is_found_and_padding_is_free() {
        let checks = Checks::new(1);
        let mut entry = checks.encode(&example(), b"payload").to_vec();
        entry.extend_from_slice(b"payload");
        for at in 0..entry.len() {
            let mut changed = entry.clone();
            changed[at] ^= 0x10;
            let intact = checks
                .header(&changed)
                .and_then(|header| checks.payload(&header, &changed).map(<[u8]>::len));
            assert_eq!(intact, None, "octet {at}");
        }
        entry.push(1);
        assert!(checks.payload(&checks.header(&entry).unwrap(), &entry).is_some());
    }

    #[test]
    fn what_another_store_wrote_or_nobody_is_not_an_entry() {
        let entry = Checks::new(1).encode(&example(), b"payload");
        assert_eq!(Checks::new(2).header(&entry), None);
        assert_eq!(Checks::new(2).header(&[0; HEADER_BYTES]), None);
        assert_eq!(Checks::new(1).header(&entry[..HEADER_BYTES - 1]), None);
    }
}
