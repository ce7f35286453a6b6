//! The files of the journal: what it wants of a disk, and the disk it gets. The simulated one, which tears and forgets, is in `simulated`.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::buffer::Aligned;

/// A folder of files that are made once and written over.
pub(super) trait Disk: Debug + Send + Sync {
    /// The names of the files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens one of them.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a file of zeros that is written over without further bookkeeping. When this returns, it outlives a loss of power; when it fails, it is
    /// not there.
    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file. When this returns, it stays away.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Writes begin and end at multiples of this.
    fn block_bytes(&self) -> u64;
    /// For messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// One file. Offsets, sizes and memory of reads and writes are aligned to the disk's block.
pub(super) trait DiskFile: Debug + Send + Sync {
    /// Its size.
    fn bytes(&self) -> u64;
    /// Fills `into` from what is there.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes over what is there.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Waits until what was written outlives a loss of power.
    fn sync(&self) -> io::Result<()>;
}

/// What a file is called until it is whole.
const UNFINISHED: &str = ".new";

/// What buffered writes are aligned to: a smaller write to a page that is not in the cache reads it first.
const PAGE_BYTES: u64 = 4096;

/// A folder of a real file system.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    direct: bool,
    block_bytes: u64,
}

impl Folder {
    /// Finds out what the file system takes, and removes what an interrupted creation left.
    pub(super) fn open(path: PathBuf, direct: bool) -> io::Result<Self> {
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            }
        }
        let probe = path.join(format!("probe{UNFINISHED}"));
        let direct_block_bytes = if direct { direct::block_bytes(&probe) } else { None };
        tracing::debug!(path = %path.display(), direct_block_bytes, "journal");
        Ok(Self {
            path,
            direct: direct_block_bytes.is_some(),
            block_bytes: direct_block_bytes.unwrap_or(PAGE_BYTES),
        })
    }

    fn options(&self) -> OpenOptions {
        let mut options = File::options();
        options.read(true).write(true);
        if self.direct {
            options.custom_flags(direct::FLAG);
        }
        options
    }

    fn write_zeros(&self, path: &Path, bytes: u64) -> io::Result<File> {
        let file = self.options().create(true).truncate(true).open(path)?;
        direct::reserve(&file, bytes)?;
        let zeros = Aligned::zeros(bytes.min(1 << 20) as usize);
        let mut offset = 0;
        while offset < bytes {
            let piece = (bytes - offset).min(zeros.len() as u64) as usize;
            file.write_all_at(&zeros.get()[..piece], offset)?;
            offset += piece as u64;
        }
        file.sync_all()?;
        Ok(file)
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.options().open(self.path(name))?;
        let bytes = file.metadata()?.len();
        Ok(Arc::new(RealFile { file, bytes }))
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let (path, unfinished) = (self.path(name), self.path(&format!("{name}{UNFINISHED}")));
        let made = self.write_zeros(&unfinished, bytes).and_then(|file| {
            fs::rename(&unfinished, &path)?;
            self.sync_folder()?;
            Ok(file)
        });
        match made {
            Ok(file) => Ok(Arc::new(RealFile { file, bytes })),
            Err(error) => {
                // If this fails too, the next start removes it.
                let _ = fs::remove_file(&unfinished);
                Err(error)
            }
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))?;
        self.sync_folder()
    }

    fn block_bytes(&self) -> u64 {
        self.block_bytes
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
    bytes: u64,
}

impl DiskFile for RealFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        // `fdatasync`: sizes and places never change, so there is nothing else to wait for.
        self.file.sync_data()
    }
}

/// Writing past the page cache, as Linux does it.
#[cfg(target_os = "linux")]
mod direct {
    use std::fs::{self, File};
    use std::os::unix::fs::{FileExt, OpenOptionsExt};
    use std::path::Path;

    use rustix::fs::{AtFlags, FallocateFlags, OFlags, StatxFlags, fallocate, statx};

    use super::{Aligned, PAGE_BYTES};

    pub(super) const FLAG: i32 = OFlags::DIRECT.bits() as i32;

    /// The least block that direct writes take where `probe` is, or `None` if there are none. The device's word counts where the kernel passes it on, but a
    /// write must prove it.
    pub(super) fn block_bytes(probe: &Path) -> Option<u64> {
        let open = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(FLAG)
            .open(probe);
        // Some file systems make the file and then refuse the flag.
        let found = open.ok().and_then(|file| prove(&file));
        let _ = fs::remove_file(probe);
        found
    }

    fn prove(file: &File) -> Option<u64> {
        let stat = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok()?;
        let told = stat.stx_mask & StatxFlags::DIOALIGN.bits() != 0;
        if told && stat.stx_dio_offset_align == 0 {
            return None;
        }
        let least = if told {
            u64::from(stat.stx_dio_offset_align.max(stat.stx_dio_mem_align))
        } else {
            0
        };
        let zeros = Aligned::zeros(PAGE_BYTES as usize);
        [512, PAGE_BYTES]
            .into_iter()
            .filter(|&block| block >= least)
            .find(|&block| file.write_all_at(&zeros.get()[..block as usize], 0).is_ok())
    }

    /// Takes the whole room at once, so that it lies together and a full disk is found before the zeros are written.
    pub(super) fn reserve(file: &File, bytes: u64) -> std::io::Result<()> {
        use rustix::io::Errno;
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            // Not every file system can: the zeros take the room then.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Elsewhere everything is buffered.
#[cfg(not(target_os = "linux"))]
mod direct {
    use std::fs::File;
    use std::path::Path;

    pub(super) const FLAG: i32 = 0;

    pub(super) fn block_bytes(_probe: &Path) -> Option<u64> {
        None
    }

    pub(super) fn reserve(_file: &File, _bytes: u64) -> std::io::Result<()> {
        Ok(())
    }
}
