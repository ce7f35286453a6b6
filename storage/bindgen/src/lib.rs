//! Stands in for bindgen: offers the calls that `librocksdb-sys`'s build script makes and writes bindings made beforehand (README.md).
use std::path::{Path, PathBuf};

const BINDINGS: &str = include_str!("rocksdb.rs");
/// FNV-1a of the `c.h` that the bindings were made from (RocksDB 11.8.1).
const HEADER_HASH: u64 = 0xa2df35300ffdab44;

/// The settings are fixed in the bindings; every setter only hands the builder on.
#[derive(Default)]
pub struct Builder {
    header: PathBuf,
}

impl Builder {
    pub fn header(mut self, path: impl Into<String>) -> Self {
        self.header = path.into().into();
        self
    }
    pub fn derive_debug(self, _: bool) -> Self {
        self
    }
    pub fn blocklist_type(self, _: impl AsRef<str>) -> Self {
        self
    }
    pub fn ctypes_prefix(self, _: impl Into<String>) -> Self {
        self
    }
    pub fn size_t_is_usize(self, _: bool) -> Self {
        self
    }
    /// Fails when the header is not the one that the bindings were made from.
    pub fn generate(self) -> Result<Bindings, String> {
        let header = std::fs::read(&self.header).map_err(|e| format!("cannot read {}: {e}", self.header.display()))?;
        match fnv1a(&header) {
            HEADER_HASH => Ok(Bindings),
            other => Err(format!(
                "{} has the hash {other:#x}, the bindings in storage/bindgen were made from {HEADER_HASH:#x}: make them anew as storage/bindgen/README.md says",
                self.header.display()
            )),
        }
    }
}

pub struct Bindings;

impl Bindings {
    pub fn write_to_file(&self, path: impl AsRef<Path>) -> std::io::Result<()> {
        std::fs::write(path, BINDINGS)
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}
