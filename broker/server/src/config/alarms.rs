//! When publishers are held back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConfigError, Limits, StoreConfig, units};

/// Watermarks. Beyond either of them connections that publish are blocked (`connection.blocked`) until it is over; those that consume go on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlarmConfig {
    /// Octets that must be free on the disk of the data directory. `None` ("auto"): what the journal and the memory may still have to write,
    /// `store.journal_bytes_max` and `limits.memory_bytes_max` together, and 1 GB at least.
    #[serde(with = "units::auto_bytes")]
    pub disk_free_min: Option<u64>,
    /// Octets of messages in memory, large bodies included. `None` ("auto"): three times `limits.memory_bytes_max`: from twice as much on,
    /// publishers wait for the disk anyway, so this is for when that does not help.
    #[serde(with = "units::auto_bytes")]
    pub memory_max: Option<u64>,
    /// Time between two looks; while somebody may be blocked, 100 ms at most.
    #[serde(with = "units::duration")]
    pub interval: Duration,
}

impl Default for AlarmConfig {
    fn default() -> Self {
        Self {
            disk_free_min: None,
            memory_max: None,
            interval: Duration::from_secs(1),
        }
    }
}

impl AlarmConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.interval < Duration::from_millis(10) {
            return Err(ConfigError::new("alarms.interval", "is less than 10ms, the least that works"));
        }
        Ok(())
    }

    /// The watermark that holds for the disk.
    pub(crate) fn disk_free_min(&self, limits: &Limits, store: &StoreConfig) -> u64 {
        let automatic = || (store.journal_bytes_max + limits.memory_bytes_max as u64).max(1_000_000_000);
        self.disk_free_min.unwrap_or_else(automatic)
    }

    /// The watermark that holds for memory.
    pub(crate) fn memory_max(&self, limits: &Limits) -> u64 {
        self.memory_max.unwrap_or_else(|| 3 * limits.memory_bytes_max as u64)
    }
}
