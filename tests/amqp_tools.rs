//! rabbitmq-c's command line tools (Debian's amqp-tools) against the broker.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use support::{Broker, tool, unique};

/// The tools, and the broker that they are pointed at.
struct Tools {
    directory: PathBuf,
    broker: std::sync::Arc<Broker>,
}

impl Tools {
    fn find() -> Option<Self> {
        let publish = tool::find("amqp-publish", "amqp-tools")?;
        Some(Self {
            directory: publish.parent().unwrap().to_owned(),
            broker: Broker::shared(),
        })
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.directory.join(name));
        command
            .arg("--url")
            .arg(format!("amqp://guest:guest@{}", self.broker.amqp()))
            .args(arguments);
        command
    }

    fn run(&self, name: &str, arguments: &[&str]) -> String {
        tool::run(&mut self.command(name, arguments))
    }

    /// The tool must fail, and say why.
    fn fails(&self, name: &str, arguments: &[&str], why: &str) {
        let output = tool::output(&mut self.command(name, arguments));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{name} {arguments:?} said: {said}");
    }
}

#[test]
fn declare_publish_get_delete() {
    let Some(tools) = Tools::find() else { return };
    let queue = unique("tools");
    assert_eq!(tools.run("amqp-declare-queue", &["-d", "-q", &queue]).trim(), queue);
    for body in ["first", "second", ""] {
        tools.run("amqp-publish", &["-r", &queue, "-p", "-b", body]);
    }
    assert_eq!(tools.run("amqp-get", &["-q", &queue]), "first");
    assert_eq!(tools.run("amqp-get", &["-q", &queue]), "second");
    tools.run("amqp-publish", &["-r", &queue, "-b", "left over"]);
    assert_eq!(tools.run("amqp-delete-queue", &["-q", &queue]).trim(), "2");
}

#[test]
fn get_from_an_empty_queue_says_so_by_its_exit_code() {
    let Some(tools) = Tools::find() else { return };
    let queue = unique("tools");
    tools.run("amqp-declare-queue", &["-q", &queue]);
    let output = tool::output(&mut tools.command("amqp-get", &["-q", &queue]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    tools.run("amqp-delete-queue", &["-q", &queue]);
}

#[test]
fn consume_runs_a_program_for_each_message() {
    let Some(tools) = Tools::find() else { return };
    let queue = unique("tools");
    tools.run("amqp-declare-queue", &["-q", &queue]);
    for number in 0..20 {
        tools.run(
            "amqp-publish",
            &["-r", &queue, "-C", "text/plain", "-b", &format!("message {number}\n")],
        );
    }
    let said = tools.run("amqp-consume", &["-q", &queue, "-c", "20", "-p", "5", "cat"]);
    assert_eq!(said, (0..20).map(|number| format!("message {number}\n")).collect::<String>());
    assert_eq!(tools.run("amqp-delete-queue", &["-q", &queue]).trim(), "0");
}

#[test]
fn consume_binds_a_queue_of_its_own_to_an_exchange() {
    let Some(tools) = Tools::find() else { return };
    let key = unique("key");
    let mut consume = tools.command("amqp-consume", &["-x", "-e", "amq.direct", "-r", &key, "-c", "1", "cat"]);
    let consumer = thread::spawn(move || tool::run(&mut consume));
    while !consumer.is_finished() {
        // until the queue is bound, this goes nowhere
        tools.run("amqp-publish", &["-e", "amq.direct", "-r", &key, "-b", "hello"]);
    }
    assert_eq!(consumer.join().unwrap(), "hello");
}

#[test]
fn refusals_are_told() {
    let Some(tools) = Tools::find() else { return };
    let missing = unique("missing");
    tools.fails("amqp-get", &["-q", &missing], "NOT_FOUND - no queue");
    let queue = unique("tools");
    tools.run("amqp-declare-queue", &["-d", "-q", &queue]);
    tools.fails(
        "amqp-declare-queue",
        &["-q", &queue],
        "PRECONDITION_FAILED - inequivalent arg 'durable'",
    );
    tools.run("amqp-delete-queue", &["-q", &queue]);
    let wrong = format!("amqp://guest:wrong@{}", tools.broker.amqp());
    let output = tool::output(Command::new(tools.directory.join("amqp-get")).args(["--url", &wrong, "-q", &missing]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("ACCESS_REFUSED"), "{output:?}");
}
