//! What a message costs in a shard.
fn main() {}
