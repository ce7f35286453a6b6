//! pika, the Python client, against the broker: the scripts in tests/python.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use support::{Broker, tool};

fn script(name: &str) {
    run(&format!("tests/python/{name}"));
}

/// A program of docs/spaces-tutorial.md.
fn tutorial(name: &str) {
    run(&format!("docs/tutorial/{name}"));
}

fn run(path: &str) {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let python = {
        let _one_at_a_time = INSTALLING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tool::python_with_pika()
    };
    let Some(python) = python else { return };
    let broker = Broker::shared();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    tool::run(
        Command::new(python)
            .arg(file)
            .arg(broker.amqp().ip().to_string())
            .arg(broker.amqp().port().to_string()),
    );
}

#[test]
fn publish_and_consume() {
    script("publish_consume.py");
}

#[test]
fn topology() {
    script("topology.py");
}

#[test]
fn errors() {
    script("errors.py");
}

#[test]
fn confirms() {
    script("confirms.py");
}

#[test]
fn dead_letters() {
    script("dead_letters.py");
}

#[test]
fn transactions() {
    script("transactions.py");
}

#[test]
fn direct_replies() {
    script("direct_replies.py");
}

#[test]
fn get() {
    script("get.py");
}

#[test]
fn heartbeats() {
    script("heartbeats.py");
}

#[test]
fn queue_arguments() {
    script("queue_arguments.py");
}

#[test]
fn limits() {
    script("limits.py");
}

#[test]
fn tutorial_work_bag() {
    tutorial("work_bag.py");
}

#[test]
fn tutorial_barrier() {
    tutorial("barrier.py");
}

#[test]
fn tutorial_semaphore() {
    tutorial("semaphore.py");
}

#[test]
fn tutorial_leader() {
    tutorial("leader.py");
}

#[test]
fn tutorial_philosophers() {
    tutorial("philosophers.py");
}

#[test]
fn tutorial_registry() {
    tutorial("registry.py");
}
