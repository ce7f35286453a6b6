//! The Rust client: a Producer with confirms and a Consumer with acknowledgements, on lapin.
