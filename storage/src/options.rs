//! What a store can be told, and the limits of it.

use std::path::PathBuf;
use std::time::Duration;

/// Every segment of the journal is a multiple of this.
pub(crate) const SEGMENT_UNIT_BYTES: u64 = 64 << 10;

const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// When a commit reaches the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before it returns: what was committed survives the loss of power.
    #[default]
    Always,
    /// In the background, at most this long after it returned. It survives the end of the process at once.
    Interval(Duration),
    /// When the operating system pleases. It survives the end of the process.
    Never,
}

/// How to open a store. Sizes are in bytes.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The data directory. It is made if it is missing.
    pub dir: PathBuf,
    /// The size of new journal segments; taken up to the next multiple of 64 KiB, and between that and 1 GiB. Existing ones of another size are
    /// read and then replaced.
    pub segment_bytes: u64,
    /// When a commit reaches the disk.
    pub sync: SyncPolicy,
    /// With [`SyncPolicy::Always`]: write the journal past the page cache, where the file system takes it.
    pub direct: bool,
    /// How many empty journal segments are kept for reuse; what is released beyond that is deleted.
    pub spare_segments_max: usize,
    /// The tables' write buffers, all families together. When they are full, they are flushed, and others fill meanwhile: at the peak of a flood about
    /// twice as much is used.
    pub write_buffer_bytes: usize,
    /// The tables' block cache: indexes, filters, and what was read lately.
    pub block_cache_bytes: usize,
    /// How many table files are kept open.
    pub open_files_max: u32,
}

impl StoreOptions {
    /// The defaults, in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 64 << 20,
            sync: SyncPolicy::Always,
            direct: true,
            spare_segments_max: 4,
            write_buffer_bytes: 64 << 20,
            block_cache_bytes: 8 << 20,
            open_files_max: 256,
        }
    }

    /// The size of segments within what the format takes.
    pub(crate) fn segment_bytes_in_range(&self) -> u64 {
        self.segment_bytes
            .clamp(SEGMENT_UNIT_BYTES, SEGMENT_BYTES_MAX)
            .next_multiple_of(SEGMENT_UNIT_BYTES)
    }
}
