//! A broker with arguments of the test's choice, and what it says of itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::broker::Process;
use crate::support::{Broker, DEADLINE};

pub(crate) struct Served {
    pub(crate) process: Process,
    pub(crate) ready: String,
    _data: tempfile::TempDir,
}

impl Served {
    /// None (and the test is to be skipped) when the tests run against another broker.
    pub(crate) fn with(arguments: &[&str]) -> Option<Self> {
        if Broker::is_external() {
            return None;
        }
        let data = tempfile::tempdir().unwrap();
        let mut process = Process::serve(data.path(), arguments);
        let ready = process.ready();
        Some(Self {
            process,
            ready,
            _data: data,
        })
    }

    /// The first address of this scheme in the line that says that the broker is ready.
    pub(crate) fn address(&self, scheme: &str) -> SocketAddr {
        let scheme = format!(" {scheme}://");
        let (_, rest) = self
            .ready
            .split_once(&scheme)
            .unwrap_or_else(|| panic!("no{scheme} in {}", self.ready));
        let end = rest.find([' ', ',']).unwrap_or(rest.len());
        rest[..end].parse().unwrap()
    }

    pub(crate) fn amqp(&self) -> SocketAddr {
        self.address("amqp")
    }

    pub(crate) fn amqps(&self) -> SocketAddr {
        self.address("amqps")
    }

    /// Waits until the log has these words.
    pub(crate) fn says(&self, words: &str) {
        let start = Instant::now();
        while !self.process.stderr().contains(words) {
            assert!(
                start.elapsed() < DEADLINE,
                "the broker did not say '{words}': {}",
                self.process.stderr()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
