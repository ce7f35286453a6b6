//! `/metrics`: what Prometheus, and dashboards that were made for RabbitMQ, find there.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

mod dashboards;
mod names;
mod traffic;

use std::net::SocketAddr;

use support::http::{self, GUEST, Response};

/// What is scraped.
fn scrape(at: SocketAddr, path: &str) -> String {
    let response: Response = http::get(at, path, GUEST);
    assert_eq!(response.status, 200, "{path}: {}", response.body);
    assert!(
        response.head.contains("content-type: text/plain; version=0.0.4"),
        "{path}: {}",
        response.head
    );
    response.body
}

/// A sample.
#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: String,
    value: f64,
}

fn samples(text: &str) -> Vec<Sample> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let sample = |line: &str| {
        let (named, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = named
            .split_once('{')
            .map_or((named, ""), |(name, rest)| (name, rest.trim_end_matches('}')));
        Sample {
            name: name.to_owned(),
            labels: labels.to_owned(),
            value: value.parse().unwrap_or_else(|error| panic!("{line}: {error}")),
        }
    };
    lines.map(sample).collect()
}

/// The values of all samples of that name with these in their labels, together.
fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    let found: Vec<_> = samples(text)
        .into_iter()
        .filter(|sample| sample.name == name && labels.iter().all(|label| sample.labels.contains(label)))
        .collect();
    assert!(!found.is_empty(), "there is no {name} with {labels:?}");
    found.iter().map(|sample| sample.value).sum()
}

/// Families and their types.
fn types(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            (name.to_owned(), kind.to_owned())
        })
        .collect()
}
