//! The tokio shell around the core: listeners, connections, shards and who runs them, timers, statistics.
