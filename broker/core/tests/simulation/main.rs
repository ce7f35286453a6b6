//! The shards with clients and a store around them, all of it following from a seed: crashes at any step, recovery, and an oracle that knows
//! what every client was promised.
//!
//! `cargo test` runs a fixed number of seeds. `STOA_SEEDS=n` runs n of them, `STOA_SEED=s` the one that failed, both of them n from s on;
//! `STOA_STEPS=n` makes them longer or shorter.

#![allow(missing_docs, unreachable_pub, clippy::print_stdout)]

mod bodies;
mod broker;
mod disk;
mod filter;
mod moves;
mod oracle;
mod rng;
mod stands;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const SEEDS: u64 = 1000;
const STEPS: usize = 250;

/// What must happen in a whole run, for it to prove anything.
const SEEN: [&str; 57] = [
    "body comes back",
    "body is deleted",
    "body is dropped",
    "body is released",
    "body is stored",
    "browse",
    "browse what is on disk",
    "came back before a restart",
    "cancelled",
    "claim",
    "clean stop",
    "commit a transaction",
    "confirm one",
    "confirm several",
    "crash",
    "dead: delivery limit",
    "dead: due",
    "dead: expired",
    "dead: maxlen",
    "dead: rejected",
    "dead since before a restart",
    "deliver",
    "deliver a body",
    "drop a duplicate",
    "flush",
    "forget",
    "forget a range",
    "get finds all groups held",
    "get waits",
    "filter leaves what does not match",
    "filter lets through",
    "letter is not taken",
    "letter of a queue that is gone",
    "letter is taken",
    "load",
    "move",
    "obsolete",
    "pause",
    "queue expires",
    "redeliver",
    "refuse",
    "release",
    "replace",
    "replay body",
    "replay messages",
    "replay settled",
    "replay standings",
    "resume",
    "rest",
    "restore",
    "roll back",
    "stall",
    "store a chunk",
    "store an entry",
    "transactions that a crash cut short",
    "unused",
    "write waits for a transaction",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn promises_hold_whatever_happens() {
    let seeds = match (number("STOA_SEED"), number("STOA_SEEDS")) {
        (Some(seed), count) => seed..seed + count.unwrap_or(1),
        (None, count) => 0..count.unwrap_or(SEEDS),
    };
    let steps = number("STOA_STEPS").map_or(STEPS, |steps| steps as usize);
    let whole = seeds.end - seeds.start >= SEEDS;
    let mut seen = broker::Seen::default();
    for seed in seeds {
        let run = catch_unwind(AssertUnwindSafe(|| world::World::new(seed).run(steps)));
        match run {
            Ok(run) => seen.add(run),
            Err(failure) => {
                eprintln!("the simulation failed: run it again with STOA_SEED={seed}");
                resume_unwind(failure);
            }
        }
    }
    println!("{seen:#?}");
    if whole {
        for what in SEEN {
            assert!(
                seen.0.get(what).is_some_and(|&count| count > 10),
                "the simulation hardly sees `{what}`"
            );
        }
    }
}
