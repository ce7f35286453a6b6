//! One script, two brokers, the same observations: what a client sees of queues, exchanges and messages, compared with RabbitMQ, where it is
//! installed, and with what it was seen to do, where it is not. Where Stoa differs on purpose, the table says what RabbitMQ does and why Stoa does not.

// the functions with many lines are tables
#![allow(clippy::unwrap_used, clippy::too_many_lines, clippy::format_push_string, unreachable_pub)]

mod connections;
mod leaving;
mod odd;
mod peer;
mod queues;
mod routing;
#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;

use peer::Peer;
use support::raw::Raw;
use support::{Broker, rabbitmq};

/// A script and what it sees.
struct Case {
    what: &'static str,
    script: fn(&mut Peer),
    seen: &'static [&'static str],
    /// What is seen on RabbitMQ, where that is something else.
    rabbitmq: Option<&'static [&'static str]>,
}

fn case(what: &'static str, script: fn(&mut Peer), seen: &'static [&'static str]) -> Case {
    Case {
        what,
        script,
        seen,
        rabbitmq: None,
    }
}

impl Case {
    /// RabbitMQ shows something else, and Stoa does not on purpose: `why` is for the reader.
    fn but_rabbitmq(mut self, _why: &'static str, seen: &'static [&'static str]) -> Self {
        self.rabbitmq = Some(seen);
        self
    }
}

/// Plays the scripts to Stoa, and to RabbitMQ where it is installed.
fn check(cases: &[Case]) {
    let broker = Broker::shared();
    let mut wrong = play(broker.amqp(), cases);
    if let Some(address) = rabbitmq::address() {
        wrong.extend(play(address, cases).into_iter().map(|wrong| format!("RabbitMQ: {wrong}")));
    }
    assert!(
        wrong.is_empty(),
        "{} of {} scripts saw something else:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

fn play(address: SocketAddr, cases: &[Case]) -> Vec<String> {
    let is_rabbitmq = Raw::is_rabbitmq(address);
    let mut wrong = Vec::new();
    for case in cases {
        let mut peer = Peer::new(address);
        (case.script)(&mut peer);
        let expected = case.rabbitmq.filter(|_| is_rabbitmq).unwrap_or(case.seen);
        let expected: Vec<String> = expected
            .iter()
            .map(|line| if is_rabbitmq { before_the_last_death(line) } else { (*line).into() })
            .collect();
        if peer.seen != expected {
            wrong.push(format!("{}\n    expected {expected:#?}\n    saw      {:#?}", case.what, peer.seen));
        }
    }
    wrong
}

/// RabbitMQ tells of the last death since 3.13, as Stoa does; 3.10 only tells of the first.
fn before_the_last_death(line: &str) -> String {
    let Some(begin) = line.find(", x-last-death-") else {
        return line.into();
    };
    let end = line[begin..].find('}').map_or(line.len(), |length| begin + length);
    format!("{}{}", &line[..begin], &line[end..])
}
