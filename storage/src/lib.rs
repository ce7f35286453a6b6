//! The durable store: a journal with group commit, and RocksDB behind it for what stays.
