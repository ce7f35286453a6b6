//! The names: those of RabbitMQ's plugin are there, with their types, or `missing.txt` says why not; and parsers made by others read what is written.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::support::{Broker, http, rabbitmq, tool};
use super::{scrape, types};

/// Every family that there is to ask for at `/metrics/detailed`.
const DETAILED: &str = "/metrics/detailed?family=queue_coarse_metrics&family=queue_metrics&family=queue_consumer_count&family=queue_delivery_metrics\
    &family=vhost_status&family=exchange_names&family=exchange_bindings&family=connection_coarse_metrics&family=connection_metrics&family=channel_metrics\
    &family=channel_exchange_metrics&family=channel_process_metrics&family=channel_queue_metrics&family=channel_queue_exchange_metrics\
    &family=connection_churn_metrics&family=node_metrics&family=node_persister_metrics&family=node_coarse_metrics&family=auth_attempt_metrics\
    &family=auth_attempt_detailed_metrics&family=ra_metrics&family=exchange_metrics&family=queue_latency_metrics";

fn all_types(at: SocketAddr) -> BTreeMap<String, String> {
    ["/metrics", "/metrics/per-object", DETAILED]
        .iter()
        .flat_map(|path| types(&scrape(at, path)))
        .collect()
}

/// What is left out: a pattern, and why.
fn left_out() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("missing.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(" | ").unwrap()).collect()
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => name
            .strip_prefix(start)
            .is_some_and(|rest| (0..=rest.len()).any(|at| rest.is_char_boundary(at) && fits(end, &rest[at..]))),
    }
}

/// Compares, and gives how many names were left out.
fn compare(theirs: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) -> usize {
    let left_out = left_out();
    let mut absent = 0;
    for (name, kind) in theirs {
        let reason = left_out.iter().find(|(pattern, _)| fits(pattern, name));
        match (ours.get(name), reason) {
            (Some(own), _) => assert_eq!(own, kind, "{name} has another type"),
            (None, Some((_, why))) => {
                absent += 1;
                println!("{name}: {why}");
            }
            (None, None) => panic!("{name} ({kind}) is missing, and missing.txt does not say why"),
        }
    }
    for (pattern, _) in left_out {
        let is_needed = theirs.keys().any(|name| fits(pattern, name) && !ours.contains_key(name));
        assert!(is_needed || pattern.starts_with("erlang_"), "missing.txt need not say {pattern}");
    }
    absent
}

#[test]
fn names_and_types_are_those_of_rabbitmq_3_10() {
    let Some(broker) = Broker::own() else { return };
    let theirs = include_str!("rabbitmq-3.10.txt").lines();
    let theirs: BTreeMap<_, _> = theirs
        .map(|line| line.split_once(' ').map(|(name, kind)| (name.to_owned(), kind.to_owned())).unwrap())
        .collect();
    let absent = compare(&theirs, &all_types(broker.http()));
    println!("{absent} of {} names are left out", theirs.len());
}

#[test]
fn names_and_types_are_those_of_the_rabbitmq_that_is_installed() {
    let (Some(broker), Some(rabbitmq)) = (Broker::own(), rabbitmq::metrics_address()) else {
        return;
    };
    let ours = all_types(broker.http());
    // What it has once there is something to measure is in the list for the other test.
    compare_what_is_there(&all_types(rabbitmq), &ours);
}

fn compare_what_is_there(theirs: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) {
    let left_out = left_out();
    for (name, kind) in theirs {
        match ours.get(name) {
            Some(own) => assert_eq!(own, kind, "{name} has another type"),
            None => assert!(
                left_out.iter().any(|(pattern, _)| fits(pattern, name)),
                "{name} ({kind}) is missing, and missing.txt does not say why"
            ),
        }
    }
}

/// Reads standard input with `prometheus_client`'s parsers, which are strict, and says how many samples there were.
const PARSE: &str = r"
import sys
text = sys.stdin.read()
if sys.argv[1] == 'open':
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
else:
    from prometheus_client.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(text))
seen = set()
for family in families:
    assert family.documentation, family.name
    for sample in family.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in seen, key
        seen.add(key)
print(len(seen))
";

#[test]
fn parsers_of_others_read_it() {
    let Some(broker) = Broker::own() else { return };
    let Some(python) = tool::python_with("prometheus_client", "prometheus-client>=0.20,<1") else {
        return;
    };
    let odd = "/api/queues/%2F/odd%20%22%5C%0A%C3%A4";
    let declared = http::send(broker.http(), "PUT", odd, http::GUEST, "{}");
    assert_eq!(declared.status, 201, "{}", declared.body);
    let parse = |kind: &str, text: &str| {
        let mut child = Command::new(&python)
            .args(["-c", PARSE, kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().parse::<usize>().unwrap()
    };
    for path in ["/metrics", "/metrics/per-object", DETAILED, "/metrics/memory-breakdown"] {
        let text = scrape(broker.http(), path);
        assert_eq!(parse("text", &text), super::samples(&text).len(), "{path}");
        let open = format!("{}Accept: application/openmetrics-text; version=1.0.0\r\n", http::GUEST);
        let open = http::get(broker.http(), path, &open);
        assert!(open.head.contains("content-type: application/openmetrics-text"), "{}", open.head);
        assert!(parse("open", &open.body) > 0, "{path}");
    }
}
