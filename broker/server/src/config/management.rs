//! What the HTTP API may spend, and whom it lets in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConfigError, units};

/// The HTTP API: its limits, its logins and the statistics that it keeps.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ManagementConfig {
    /// Octets of a request's body. A larger one is refused (413).
    #[serde(with = "units::bytes")]
    pub body_bytes_max: usize,
    /// Open HTTP connections. One more waits until another is closed.
    pub connections_max: usize,
    /// How long the head of a request may take, and a connection may be idle. Longer than that, the connection is closed.
    #[serde(with = "units::duration")]
    pub idle_timeout: Duration,
    /// Origins whose pages may use the API from a browser (CORS), such as `https://ops.example.com`. Empty: none but the broker's own.
    pub cors_origins: Vec<String>,
    /// Failed logins that a user name, from one address, may have within `login_window`, over AMQP and HTTP together. After that, logins are refused until
    /// the window is over (429; over AMQP 403, as any other).
    pub login_failures_max: u32,
    /// How long failed logins are remembered.
    #[serde(with = "units::duration")]
    pub login_window: Duration,
    /// How long a session may be unused before it ends. It ends after twelve times as long in any case.
    #[serde(with = "units::duration")]
    pub session_idle: Duration,
    /// Sessions at a time. One more ends the one that was unused the longest.
    pub sessions_max: usize,
    /// Time between two samples of the counters, from which rates come.
    #[serde(with = "units::duration")]
    pub sample_interval: Duration,
    /// How long samples are kept.
    #[serde(with = "units::duration")]
    pub sample_history: Duration,
    /// Samples kept of all queues, exchanges, connections and channels together. When there are more, those of each are kept for a shorter time.
    pub samples_max: usize,
}

impl Default for ManagementConfig {
    fn default() -> Self {
        Self {
            body_bytes_max: 16 << 20,
            connections_max: 1024,
            idle_timeout: Duration::from_secs(60),
            cors_origins: Vec::new(),
            login_failures_max: 10,
            login_window: Duration::from_secs(60),
            session_idle: Duration::from_secs(3600),
            sessions_max: 1024,
            sample_interval: Duration::from_secs(5),
            sample_history: Duration::from_secs(3600),
            samples_max: 500_000,
        }
    }
}

impl ManagementConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.connections_max == 0 {
            return Err(ConfigError::new("management.connections_max", "nobody could use the API"));
        }
        if self.sample_interval < Duration::from_millis(100) {
            return Err(ConfigError::new(
                "management.sample_interval",
                "is less than 100ms, the least that works",
            ));
        }
        if self.sample_history < self.sample_interval {
            return Err(ConfigError::new(
                "management.sample_history",
                "is less than management.sample_interval",
            ));
        }
        if self.idle_timeout.is_zero() {
            return Err(ConfigError::new("management.idle_timeout", "no request can come within no time"));
        }
        Ok(())
    }
}
