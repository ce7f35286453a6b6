//! Starts that must fail, and say why.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;

use crate::support::Broker;
use crate::support::broker::Process;
use crate::support::raw::Raw;

/// The process must end with an error, and say all of `words`.
fn refuses(arguments: &[&OsStr], code: Option<i32>, words: &[&str]) {
    let (status, said) = Process::spawn(arguments).ended();
    match code {
        Some(code) => assert_eq!(status.code(), Some(code), "{arguments:?}: {said}"),
        None => assert!(
            status.code().is_some_and(|code| code != 0),
            "{arguments:?} ended with {status}: {said}"
        ),
    }
    assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?} does not say '{word}': {said}");
    }
}

fn serve<'a>(data: &'a Path, more: &'a [&'a str]) -> Vec<&'a OsStr> {
    let mut arguments: Vec<&OsStr> = vec!["serve".as_ref(), "--data".as_ref(), data.as_ref()];
    arguments.extend(more.iter().map(OsStr::new));
    arguments
}

fn is_served(broker: &Broker) {
    Raw::login(broker.amqp()).open(1);
}

#[test]
fn a_second_broker_on_a_directory_is_refused_and_told_who_has_it() {
    let Some(mut broker) = Broker::own() else { return };
    let id = broker.process().id().to_string();
    let data = broker.data().to_owned();
    refuses(&serve(&data, &[]), None, &[data.to_str().unwrap(), &id]);
    is_served(&broker);
    broker.kill();
    broker.restart();
    is_served(&broker);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let Some(broker) = Broker::own() else { return };
    let data = tempfile::tempdir().unwrap();
    let taken = |flag: &str, address: SocketAddr| {
        let address = address.to_string();
        refuses(&serve(data.path(), &[flag, &address]), None, &[&address]);
    };
    taken("--amqp", broker.amqp());
    taken("--http", broker.http());
    is_served(&broker);
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    if Broker::is_external() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    std::fs::write(&file, "not a directory").unwrap();
    for data in [file.as_path(), &file.join("below"), Path::new("/proc/stoa"), Path::new("/dev/null")] {
        refuses(&serve(data, &[]), None, &[data.to_str().unwrap()]);
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"not a directory");
}

#[test]
fn a_command_line_that_makes_no_sense_is_explained() {
    if Broker::is_external() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    refuses(&["serve".as_ref(), "--no-such-flag".as_ref()], Some(2), &["--no-such-flag"]);
    refuses(&["no-such-command".as_ref()], Some(2), &["no-such-command"]);
    refuses(&serve(data.path(), &["--amqp", "nonsense"]), Some(2), &["--amqp", "nonsense"]);
    refuses(
        &serve(data.path(), &["--http", "127.0.0.1:99999"]),
        Some(2),
        &["--http", "127.0.0.1:99999"],
    );
    assert_eq!(
        std::fs::read_dir(data.path()).unwrap().count(),
        0,
        "a refused start leaves nothing behind"
    );
}

#[test]
fn a_directory_that_holds_something_else_is_left_alone() {
    if Broker::is_external() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("letters.txt"), "dear").unwrap();
    refuses(&serve(data.path(), &[]), None, &[data.path().to_str().unwrap(), "letters.txt"]);
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 1);
}

#[test]
fn a_directory_of_another_version_or_damaged_is_left_alone() {
    let Some(mut broker) = Broker::own() else { return };
    broker.kill();
    let format = broker.data().join("FORMAT");
    let text = std::fs::read_to_string(&format).unwrap();
    for (wrong, word) in [(text.replacen(" 1\n", " 4711\n", 1), "4711"), ("gibberish".into(), "FORMAT")] {
        assert_ne!(wrong, text);
        std::fs::write(&format, &wrong).unwrap();
        refuses(&serve(broker.data(), &[]), None, &[broker.data().to_str().unwrap(), word]);
        assert_eq!(std::fs::read_to_string(&format).unwrap(), wrong);
    }
    std::fs::write(&format, text).unwrap();
    broker.restart();
    is_served(&broker);
}
