//! Bad input of every sort: on the command line, in the data directory, on the sockets. Each gets a clear answer, and the broker goes on.

#![allow(clippy::unwrap_used, unreachable_pub, clippy::print_stdout)]

mod damage;
mod start;
mod streams;
#[path = "../support/mod.rs"]
mod support;
