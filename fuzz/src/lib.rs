//! What is fuzzed: functions that take any octets and assert what must hold of them. No fuzzer in here.
//!
//! - With libFuzzer: `cargo +nightly fuzz run frames` (or `methods`, `tables`, `templates`, `proxy_header`), from the repository's root; it needs `cargo install cargo-fuzz`.
//! - With the pinned compiler: `cargo run --release --manifest-path fuzz/Cargo.toml --bin frames -- FILES` runs the files through the target, to
//!   reproduce what a fuzzer found; without files it makes up octets itself, from a fixed seed.
//!
//! A finding becomes a case in the tests of the crate that it was found in.

pub mod amqp;
mod replay;
pub mod space;
pub mod transport;

pub use replay::replay;

/// Makes a `main` of a function of octets: libFuzzer's, or without it one that replays files.
#[macro_export]
macro_rules! target {
    ($function:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|octets: &[u8]| $function(octets));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::replay($function)
        }
    };
}
