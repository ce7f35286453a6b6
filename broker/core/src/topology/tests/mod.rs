//! Tests of the topology as a whole.
