//! File, environment and flags, and the commands that show and check what they come to.

use std::process::Command;

use crate::login::{Login, guest};
use crate::served::Served;
use crate::support::raw::Raw;
use crate::support::{Broker, tool};

fn stoa(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stoa"));
    command.args(arguments);
    for variable in ["STOA_CONFIG", "STOA_DATA", "STOA_AMQP", "STOA_HTTP", "STOA_MEMORY"] {
        command.env_remove(variable);
    }
    command
}

#[test]
fn flags_go_over_the_environment_and_that_over_the_file() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("stoa.toml");
    let text = "data = \"/from/file\"\nhttp = \"127.0.0.1:1\"\namqp = [\"127.0.0.1:1\"]\n\n[limits]\nmemory_bytes_max = \"17MiB\"\nheartbeat = \"7s\"\n";
    std::fs::write(&file, text).unwrap();
    let mut show = stoa(&["config", "show", "--http", "127.0.0.1:3", "--set", "limits.channel_max=3"]);
    show.env("STOA_CONFIG", &file)
        .env("STOA_AMQP", "127.0.0.1:2,[::1]:2+proxy")
        .env("STOA_HTTP", "127.0.0.1:2")
        .env("STOA_MEMORY", "18");
    let shown = tool::run(&mut show);
    for line in [
        "data = \"/from/file\"",
        "http = \"127.0.0.1:3\"",
        "\"[::1]:2+proxy\"",
        "memory_bytes_max = \"18MiB\"",
        "heartbeat = \"7s\"",
        "channel_max = 3",
        "frame_max = \"128KiB\"",
    ] {
        assert!(shown.contains(line), "no {line} in\n{shown}");
    }
    // What is shown is a file that says the same.
    let again = place.path().join("again.toml");
    std::fs::write(&again, &shown).unwrap();
    assert_eq!(
        tool::run(&mut stoa(&["config", "show", "--config", again.to_str().unwrap()])),
        shown
    );
    let checked = tool::run(&mut stoa(&["config", "check", "--config", again.to_str().unwrap()]));
    assert!(checked.contains("the configuration is good"), "{checked}");
}

#[test]
fn what_cannot_be_is_named() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("stoa.toml");
    let path = file.to_str().unwrap();
    for (text, more, words) in [
        ("frame_max = 1", &[][..], "frame_max"),
        ("[limits]\nframe_max = 1", &[], "limits.frame_max"),
        ("[limits]\nfram_max = 8192", &[], "fram_max"),
        ("[limits]\nhandshake = 10", &[], "handshake"),
        ("[tls", &[], "stoa.toml"),
        ("amqps = [\"127.0.0.1:0\"]", &[], "tls.cert"),
        ("", &["--set", "limits.no_such=1"], "limits.no_such"),
        ("", &["--set", "threads=0"], "threads"),
        ("", &["--set", "store.sync=sometimes"], "sometimes"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = tool::output(stoa(&["config", "check", "--config", path]).args(more));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{text} {more:?}: {said}");
    }
    let output = tool::output(&mut stoa(&["config", "check", "--config", "/nowhere.toml"]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere.toml"));
}

#[test]
fn a_broker_runs_with_a_file_and_without_the_word_serve() {
    if Broker::is_external() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("stoa.toml");
    let listeners = "amqp = [\"127.0.0.1:0\"]\nhttp = \"127.0.0.1:0\"\n";
    let text = format!(
        "data = '{}'\n{listeners}[limits]\nconnections_max = 1\n",
        place.path().join("data").display()
    );
    std::fs::write(&file, text).unwrap();
    let mut process = crate::support::broker::Process::spawn(["--config", file.to_str().unwrap()]);
    let ready = process.ready();
    let rest = ready.split_once("amqp://").unwrap().1;
    let address = rest[..rest.find(' ').unwrap()].parse().unwrap();
    let mut only = Raw::connect(address);
    assert_eq!(guest(&mut only), Login::Open);
    assert_eq!(guest(&mut Raw::connect(address)), Login::Refused(530));
    assert!(place.path().join("data/FORMAT").exists());
    drop(process);
    assert!(Served::with(&["--set", "limits.connections_max=7"]).is_some());
}
