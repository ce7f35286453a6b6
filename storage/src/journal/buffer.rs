//! Memory that direct I/O takes: it begins at a multiple of the page size, which safe code gets by allocating more and beginning later.

use super::entry::{Checks, HEADER_BYTES, Header};

/// What every device is content with.
const ALIGNMENT: usize = 4096;

/// The buffer of a commit keeps this much memory; what a large commit took beyond that goes back when it is written.
const RETAINED_BYTES_MAX: usize = 4 << 20;

/// Where the header goes when its commit is written. Until then it shows that nobody cleared the buffer.
const PLACE_OF_HEADER: [u8; HEADER_BYTES] = *b"here goes the header; append, and clear nothing!";

/// A fixed number of octets.
#[derive(Debug)]
pub(super) struct Aligned {
    bytes: Vec<u8>,
    start: usize,
}

impl Aligned {
    /// So many zeros.
    pub(super) fn zeros(len: usize) -> Self {
        let bytes = vec![0; len + ALIGNMENT];
        let start = bytes.as_ptr().align_offset(ALIGNMENT);
        assert!(start < ALIGNMENT);
        Self { bytes, start }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - ALIGNMENT
    }

    pub(super) fn get(&self) -> &[u8] {
        &self.bytes[self.start..][..self.len()]
    }

    pub(super) fn get_mut(&mut self) -> &mut [u8] {
        let len = self.len();
        &mut self.bytes[self.start..][..len]
    }
}

/// What one commit gathers, in the place from which it is written: slack up to an aligned address, the header, the payload.
#[derive(Debug)]
pub(super) struct CommitBuffer {
    bytes: Vec<u8>,
    /// Where the header begins.
    start: usize,
}

impl CommitBuffer {
    pub(super) fn new() -> Self {
        let mut buffer = Self {
            bytes: Vec::new(),
            start: 0,
        };
        buffer.clear();
        buffer
    }

    /// Where the payload is appended.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How much was appended.
    pub(super) fn payload_bytes(&self) -> usize {
        self.bytes.len().saturating_sub(self.start + HEADER_BYTES)
    }

    /// Forgets the payload and keeps a moderate amount of memory.
    pub(super) fn clear(&mut self) {
        if self.bytes.capacity() > RETAINED_BYTES_MAX {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.bytes.reserve(4 * ALIGNMENT);
        self.start = self.bytes.as_ptr().align_offset(ALIGNMENT);
        self.bytes.resize(self.start, 0);
        self.bytes.extend_from_slice(&PLACE_OF_HEADER);
    }

    /// Nothing more is appended to this commit. Restores the alignment, which is lost when appending moved the memory, and makes room for the padding.
    pub(super) fn seal(&mut self) {
        let place = self.bytes.get(self.start..).and_then(<[u8]>::first_chunk::<HEADER_BYTES>);
        assert!(
            place == Some(&PLACE_OF_HEADER),
            "the journal's buffer was cleared or overwritten: append to it, and nothing else"
        );
        let end = self.bytes.len();
        self.bytes.reserve(3 * ALIGNMENT);
        let start = self.bytes.as_ptr().align_offset(ALIGNMENT);
        self.bytes.resize(end + ALIGNMENT, 0);
        if start != self.start {
            self.bytes.copy_within(self.start..end, start);
            self.bytes.truncate(end - self.start + start);
            self.bytes.resize(end - self.start + start + ALIGNMENT, 0);
            self.start = start;
        }
    }

    /// The entry for the part of a sealed payload that begins at `from`, as it goes to the disk. Its header takes the place of the octets before it, which
    /// belong to the part before and are written already; so `from` is a multiple of the disk's block.
    pub(super) fn entry(&mut self, checks: &Checks, header: &Header, from: usize) -> &[u8] {
        let entry = &mut self.bytes[self.start + from..][..header.span_bytes as usize];
        let (place, payload) = entry.split_at_mut(HEADER_BYTES);
        place.copy_from_slice(&checks.encode(header, &payload[..header.payload_bytes as usize]));
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(payload_bytes: usize, span_bytes: usize) -> Header {
        Header {
            payload_bytes: payload_bytes as u32,
            span_bytes: span_bytes as u32,
            part: 0,
            parts: 1,
            number: 1,
            generation: 1,
            synced: 0,
        }
    }

    #[test]
    fn entries_are_aligned_and_whole_whatever_was_appended() {
        let checks = Checks::new(1);
        let mut buffer = CommitBuffer::new();
        for size in [0, 1, 200, 4000, 4096, 70_000, 6 << 20, 3, 150_000, 12] {
            let payload: Vec<u8> = (0..size).map(|i: u32| i as u8).collect();
            for piece in payload.chunks(1000) {
                buffer.bytes().extend_from_slice(piece);
            }
            assert_eq!(buffer.payload_bytes(), payload.len());
            buffer.seal();
            let span = (HEADER_BYTES + payload.len()).next_multiple_of(4096);
            let header = header(payload.len(), span);
            let entry = buffer.entry(&checks, &header, 0);
            assert_eq!(entry.as_ptr().align_offset(ALIGNMENT), 0);
            assert_eq!(checks.header(entry), Some(header));
            assert_eq!(checks.payload(&header, entry), Some(&payload[..]));
            buffer.clear();
            assert_eq!(buffer.payload_bytes(), 0);
        }
        assert!(buffer.bytes.capacity() <= RETAINED_BYTES_MAX);
    }

    #[test]
    #[should_panic(expected = "was cleared")]
    fn a_cleared_buffer_is_found_out() {
        let mut buffer = CommitBuffer::new();
        buffer.bytes().clear();
        buffer.bytes().resize(10_000, 7);
        buffer.seal();
    }
}
