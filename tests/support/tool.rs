//! Programs from outside that the tests run.
