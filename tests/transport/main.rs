//! How clients come to the broker: TLS and its certificates, proxies, Unix sockets, limits; what alarms do to them; the configuration that says all that.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod alarms;
mod configuration;
mod limits;
mod login;
mod proxy;
mod served;
mod tls;
mod tunnel;
mod unix;
