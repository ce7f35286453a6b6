//! The HTTP surface: management API and dashboard.
