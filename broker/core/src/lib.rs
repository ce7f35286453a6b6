//! What a broker decides: topology, routing, queues. Pure and deterministic: no I/O, no clock, no randomness, no locks, no threads.
//!
//! Commands go in, effects come out, and the time is an argument. The crate `stoa-server` runs this core on real sockets and disks;
//! the simulation runs the same core on a fake store and a seed.

pub mod channel;
pub mod dead_letter;
pub mod ids;
pub mod log;
pub mod record;
pub mod settings;
pub mod shard;
pub mod space;
pub mod topology;
