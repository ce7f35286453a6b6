//! The quick ones of the client libraries' suites: tests/suites/README.md.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::path::Path;
use std::process::Command;

use support::tool;

fn suite(name: &str) {
    let Some(python) = tool::find("python3", "python3-venv") else {
        return;
    };
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suites/run"));
    command.args(["--stoa", env!("CARGO_BIN_EXE_stoa"), "--cache"]);
    command.arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("suites"));
    if let Ok(address) = std::env::var("STOA_TEST_AMQP") {
        command.args(["--amqp", &address]);
    }
    if std::env::var("STOA_TEST_TOOLS").as_deref() == Ok("required") {
        command.arg("--required");
    }
    // no deadline of its own: it may have to install packages first, and the script has one for the suite
    let output = command.arg(name).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    println!("{said}");
}

#[test]
fn python_py_amqp() {
    suite("py-amqp");
}

#[test]
fn python_kombu() {
    suite("kombu");
}

#[test]
fn python_celery() {
    suite("celery");
}

#[test]
fn python_kombu_program() {
    suite("program-kombu");
}

#[test]
fn python_rabbitpy() {
    suite("rabbitpy");
}

#[test]
fn python_aio_pika() {
    suite("program-aio_pika");
}

#[test]
fn ruby_bunny() {
    suite("program-bunny");
}

#[test]
fn perl_anyevent_rabbitmq() {
    suite("anyevent-rabbitmq");
}

#[test]
fn perl_mojo_rabbitmq() {
    suite("mojo-rabbitmq");
}

#[test]
fn c_rabbitmq_c() {
    suite("rabbitmq-c");
}

#[test]
fn php_amqplib() {
    suite("program-phplib");
}

#[test]
fn node_amqplib() {
    suite("program-amqplib");
}

#[test]
fn node_rabbitmq_client() {
    suite("program-rabbitmq_client");
}
