//! Reads the entries of one segment through a window, a megabyte at a time.

use super::buffer::Aligned;
use super::disk::DiskFile;
use super::entry::{Checks, HEADER_BYTES, Header, STEP_BYTES};
use super::segment::Segment;
use crate::error::OpenError;

const WINDOW_BYTES: usize = 1 << 20;

/// What reads are aligned to: a multiple of every disk's block, and every segment is a multiple of it.
pub(super) const READ_ALIGNMENT: u64 = 4096;

/// A segment and the piece of it that is in memory.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    checks: &'a Checks,
    segment: Segment,
    /// The size of the file.
    bytes: u64,
    window: Aligned,
    window_offset: u64,
    window_bytes: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(checks: &'a Checks, segment: Segment) -> Self {
        Self {
            checks,
            bytes: segment.file.bytes(),
            segment,
            window: Aligned::zeros(0),
            window_offset: 0,
            window_bytes: 0,
        }
    }

    /// The header at `offset`, if there is an intact one.
    pub(super) fn header(&mut self, offset: u64) -> Result<Option<Header>, OpenError> {
        if offset + STEP_BYTES > self.bytes {
            return Ok(None);
        }
        let checks = self.checks;
        Ok(checks.header(self.read(offset, HEADER_BYTES)?))
    }

    /// The payload of the entry whose header was found at `offset`, if it is intact.
    pub(super) fn payload(&mut self, offset: u64, header: &Header) -> Result<Option<&[u8]>, OpenError> {
        if offset + u64::from(header.span_bytes) > self.bytes {
            return Ok(None);
        }
        let checks = self.checks;
        Ok(checks.payload(header, self.read(offset, header.span_bytes as usize)?))
    }

    /// Shows every intact header from `offset` on, whether or not it is in its place, and where it is.
    pub(super) fn headers(&mut self, from: u64, mut each: impl FnMut(u64, Header)) -> Result<(), OpenError> {
        let mut offset = from;
        while offset < self.bytes {
            if let Some(header) = self.header(offset)? {
                each(offset, header);
            }
            offset += STEP_BYTES;
        }
        Ok(())
    }

    /// So many octets, which must lie in the file.
    fn read(&mut self, offset: u64, bytes: usize) -> Result<&[u8], OpenError> {
        let end = offset + bytes as u64;
        if offset < self.window_offset || end > self.window_offset + self.window_bytes as u64 {
            self.move_window(offset, end)?;
        }
        let start = (offset - self.window_offset) as usize;
        Ok(&self.window.get()[start..][..bytes])
    }

    fn move_window(&mut self, offset: u64, end: u64) -> Result<(), OpenError> {
        let start = offset / READ_ALIGNMENT * READ_ALIGNMENT;
        let end = end
            .next_multiple_of(READ_ALIGNMENT)
            .max(start + WINDOW_BYTES as u64)
            .min(self.bytes);
        let bytes = (end - start) as usize;
        if self.window.len() < bytes {
            self.window = Aligned::zeros(bytes);
        }
        self.window_bytes = 0;
        let file: &dyn DiskFile = &*self.segment.file;
        let read = file.read_at(start, &mut self.window.get_mut()[..bytes]);
        read.map_err(OpenError::io("read", &self.segment.path))?;
        (self.window_offset, self.window_bytes) = (start, bytes);
        Ok(())
    }
}
