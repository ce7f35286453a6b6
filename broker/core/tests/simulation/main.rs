//! The shards with clients and a store around them, all of it following from a seed: crashes at any step, recovery, and an oracle that knows
//! what every client was promised.
//!
//! `cargo test` runs a fixed number of seeds. `STOA_SEEDS=n` runs n of them, `STOA_SEED=s` the one that failed.

#![allow(missing_docs, unreachable_pub, clippy::expect_used)]

mod broker;
mod disk;
mod oracle;
mod rng;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const SEEDS: u64 = 2000;
const STEPS: usize = 250;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn promises_hold_whatever_happens() {
    let seeds = match number("STOA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("STOA_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let run = catch_unwind(AssertUnwindSafe(|| world::World::new(seed).run(STEPS)));
        if let Err(failure) = run {
            #[allow(clippy::print_stderr)]
            {
                eprintln!("the simulation failed: run it again with STOA_SEED={seed}");
            }
            resume_unwind(failure);
        }
    }
}
