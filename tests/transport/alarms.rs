//! Watermarks: who publishes is blocked and told so, everybody else goes on, and nothing is lost when it is over.

use std::path::Path;
use std::process::Command;

use crate::login::{Login, log_in, mechanisms};
use crate::served::Served;
use crate::support::broker::Process;
use crate::support::http;
use crate::support::raw::{self, Event, Raw};
use crate::support::{Broker, tool};

fn connect(served: &Served, capabilities: &[&str]) -> Raw {
    let mut raw = Raw::connect(served.amqp());
    mechanisms(&mut raw).unwrap();
    assert_eq!(log_in(&mut raw, "PLAIN", b"\0guest\0guest", capabilities), Login::Open);
    raw.open(1);
    raw
}

fn message(queue: &str, body: &[u8]) -> Vec<u8> {
    let frames = [
        raw::publish(1, "", queue, &[false, false]),
        raw::header(1, body.len() as u64),
        raw::frame(raw::BODY, 1, body),
    ];
    frames.concat()
}

fn declare(raw: &mut Raw, queue: &str) -> u32 {
    let ok = raw.call(&raw::queue_declare(1, queue, [false; 5]), 50, 11);
    let mut arguments = ok.arguments();
    arguments.short();
    arguments.u32()
}

/// The reason in the `connection.blocked` that must come next.
fn blocked(raw: &mut Raw) -> String {
    raw.expect(10, 60).arguments().short()
}

/// An alarm that is never over: too little disk from the start.
#[test]
fn publishers_are_blocked_and_others_are_not() {
    let Some(served) = Served::with(&["--disk-free-min", "1000TB"]) else {
        return;
    };
    served.says("low on disk: connections that publish are blocked");
    let mut publisher = connect(&served, &["connection.blocked"]);
    assert_eq!(declare(&mut publisher, "q"), 0);
    // The message has to wait, and whatever comes after it.
    publisher.send(&message("q", b"first"));
    assert_eq!(blocked(&mut publisher), "low on disk");
    publisher.send(&raw::queue_declare(1, "q", [false; 5]));
    // One that does not want to know is blocked all the same, one without a body as well; one that has but announced a message is not yet.
    let mut silent = connect(&served, &[]);
    silent.send(&message("q", b"second"));
    let mut empty = connect(&served, &["connection.blocked"]);
    empty.send(&[raw::publish(1, "", "q", &[false, false]), raw::header(1, 0)].concat());
    assert_eq!(blocked(&mut empty), "low on disk");
    let mut announced = connect(&served, &["connection.blocked"]);
    announced.send(&raw::publish(1, "", "q", &[false, false]));
    announced.send(&raw::method(2, 20, 10, |a| a.short("")));
    announced.expect(20, 11);
    announced.send(&raw::header(1, 1));
    assert_eq!(blocked(&mut announced), "low on disk");
    // Others go on, and find that nothing has come.
    let mut consumer = connect(&served, &["connection.blocked"]);
    assert_eq!(declare(&mut consumer, "q"), 0);
    consumer.call(&raw::consume(1, "q", "", [false, false, false, false]), 60, 21);
    let overview = http::json(served.address("http"), "/api/overview");
    assert_eq!(overview["store"]["disk_free_alarm"], true, "{overview}");
    assert_eq!(overview["store"]["mem_alarm"], false, "{overview}");
    // The broker stops in good order all the same, and what it held back is not taken in.
    let mut served = served;
    let (status, said) = served.process.terminate();
    assert!(status.success(), "{said}");
    assert_eq!(publisher.expect(10, 50).arguments().u16(), 320);
}

/// Memory goes over its watermark and below it again, as its messages are consumed.
#[test]
fn publishing_goes_on_when_memory_is_free_again() {
    let Some(served) = Served::with(&["--set", "alarms.memory_max=1MiB", "--set", "alarms.interval=20ms"]) else {
        return;
    };
    let mut publisher = connect(&served, &["connection.blocked"]);
    let mut other = connect(&served, &["connection.blocked"]);
    declare(&mut publisher, "q");
    // Eleven of these are too many, or some fewer with what the queue needs beside them; the rest is not too many again.
    for _ in 0..16 {
        publisher.send(&message("q", &[7; 100_000]));
    }
    served.says("low on memory: connections that publish are blocked");
    publisher.send(&message("q", b"one more"));
    assert_eq!(blocked(&mut publisher), "low on memory");
    publisher.send(&message("q", b"the last"));
    let purge = raw::method(1, 50, 30, |a| a.u16(0).short("q").bits(&[false]));
    let purged = other.call(&purge, 50, 31).arguments().u32();
    assert!(purged >= 8, "{purged}");
    publisher.expect(10, 61);
    served.says("no longer low on memory");
    // What waited has come.
    while declare(&mut other, "q") != 18 - purged {}
    publisher.send(&message("q", b"and on"));
    assert_eq!(declare(&mut publisher, "q"), 19 - purged);
}

/// A disk of its own, that becomes full and empty.
#[test]
fn a_disk_that_is_nearly_full() {
    if Broker::is_external() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let Some(_disk) = Tmpfs::mount(place.path()) else { return };
    let data = place.path().join("data");
    let filler = place.path().join("filler");
    let start = |process: &mut Process| -> std::net::SocketAddr {
        let ready = process.ready();
        let rest = ready.split_once("amqp://").unwrap().1;
        rest[..rest.find(' ').unwrap()].parse().unwrap()
    };
    let arguments = [
        "--disk-free-min",
        "64MiB",
        "--set",
        "store.segment_bytes=1MiB",
        "--set",
        "alarms.interval=20ms",
    ];
    let mut process = Process::serve(&data, &arguments);
    let mut publisher = Raw::connect(start(&mut process));
    mechanisms(&mut publisher).unwrap();
    log_in(&mut publisher, "PLAIN", b"\0guest\0guest", &["connection.blocked"]);
    publisher.open(1);
    publisher.send(&message("nowhere", b"there is room"));
    assert_eq!(declare(&mut publisher, "q"), 0);
    std::fs::write(&filler, vec![1; 100 << 20]).unwrap();
    let says = |process: &Process, words: &str| while !process.stderr().contains(words) {};
    says(&process, "low on disk: connections");
    publisher.send(&message("q", b"first"));
    assert_eq!(blocked(&mut publisher), "low on disk");
    publisher.send(&message("q", b"second"));
    std::fs::remove_file(&filler).unwrap();
    publisher.expect(10, 61);
    assert_eq!(declare(&mut publisher, "q"), 2);
    process.terminate();
}

/// A file system of 128 MiB; there is none for those who are not root.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    #[allow(clippy::print_stdout)]
    fn mount(at: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=128m", "none"])
            .arg(at)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        println!("skipped: a tmpfs cannot be mounted");
        None
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0).status());
    }
}

/// The disk is full, and what has to be written cannot be: who publishes is blocked and nothing more is confirmed, who consumes goes on, and a restart finds what was confirmed.
#[test]
fn a_store_that_fails_blocks_who_publishes_and_nobody_else() {
    if Broker::is_external() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let Some(_disk) = Tmpfs::mount(place.path()) else { return };
    let (data, filler) = (place.path().join("data"), place.path().join("filler"));
    let arguments = [
        "--disk-free-min",
        "1KiB",
        "--set",
        "store.segment_bytes=1MiB",
        "--set",
        "alarms.interval=1h",
    ];
    let mut process = Process::serve(&data, &arguments);
    let ready = process.ready();
    let (amqp, http) = (address(&ready, "amqp://"), address(&ready, "http://"));
    let connect = |capabilities: &[&str]| {
        let mut raw = Raw::connect(amqp);
        mechanisms(&mut raw).unwrap();
        assert_eq!(log_in(&mut raw, "PLAIN", b"\0guest\0guest", capabilities), Login::Open);
        raw.open(1);
        raw
    };
    let mut publisher = connect(&["connection.blocked"]);
    let durable = [false, true, false, false, false];
    publisher.call(&raw::queue_declare(1, "q", durable), 50, 11);
    publisher.call(&raw::method(1, 85, 10, |a| a.bits(&[false])), 85, 11);
    fill_up(&filler);
    let persistent = |body: &[u8]| {
        let header = raw::persistent_header(1, body.len() as u64);
        [raw::publish(1, "", "q", &[false, false]), header, raw::frame(raw::BODY, 1, body)].concat()
    };
    let (mut sent, mut confirmed) = (0, 0);
    let reason = loop {
        publisher.send(&persistent(&[7; 100_000]));
        sent += 1;
        match publisher.next() {
            Event::Frame(frame) if frame.method() == Some((60, 80)) => confirmed += 1,
            Event::Frame(frame) if frame.method() == Some((10, 60)) => break frame.arguments().short(),
            other => panic!("{other:?} after {sent} messages"),
        }
        assert!(sent < 2000, "the disk does not get full");
    };
    assert_eq!((reason.as_str(), confirmed), ("the store has failed", sent - 1));
    // The log comes by another way than the connection's answer.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !process.stderr().contains("free space or replace the disk, then restart") {
        assert!(std::time::Instant::now() < until, "{}", process.stderr());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(http::json(http, "/api/overview")["store"]["failed"], true);
    publisher.send(&persistent(b"never taken"));
    let mut other = connect(&["connection.blocked"]);
    other.send(&message("q", b"not even a transient one"));
    assert_eq!(blocked(&mut other), "the store has failed");
    // What need not be written can be had, what must be cannot.
    let mut consumer = connect(&[]);
    assert_eq!(declare_passively(&mut consumer, "q"), sent);
    consumer.call(&raw::queue_declare(1, "transient", [false; 5]), 50, 11);
    consumer.call(&raw::consume(1, "q", "", [false, true, false, false]), 60, 21);
    consumer.expect(60, 60);
    let mut declaring = connect(&[]);
    declaring.send(&raw::queue_declare(1, "durable", durable));
    assert_eq!(declaring.expect(10, 50).arguments().u16(), 541);
    drop(process);
    std::fs::remove_file(&filler).unwrap();
    let mut process = Process::serve(&data, &arguments);
    let mut again = Raw::connect(address(&process.ready(), "amqp://"));
    mechanisms(&mut again).unwrap();
    log_in(&mut again, "PLAIN", b"\0guest\0guest", &[]);
    again.open(1);
    let found = declare_passively(&mut again, "q");
    assert!((confirmed..=sent).contains(&found), "{found} of {confirmed} that were confirmed");
    process.terminate();
}

fn address(ready: &str, scheme: &str) -> std::net::SocketAddr {
    let rest = ready.split_once(scheme).unwrap().1;
    let end = rest.find([' ', ',']).unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

fn declare_passively(raw: &mut Raw, queue: &str) -> u32 {
    let ok = raw.call(&raw::queue_declare(1, queue, [true, false, false, false, false]), 50, 11);
    let mut arguments = ok.arguments();
    arguments.short();
    arguments.u32()
}

/// Writes until nothing more can be written.
fn fill_up(filler: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(filler).unwrap();
    for size in [1 << 20, 4096] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

/// pika hears of it by its callbacks.
#[test]
fn pika_is_told() {
    let Some(python) = tool::python_with_pika() else { return };
    let Some(served) = Served::with(&["--set", "alarms.memory_max=1MiB", "--set", "alarms.interval=20ms"]) else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/blocked.py");
    let port = served.amqp().port().to_string();
    tool::run(Command::new(python).arg(script).args(["127.0.0.1", &port]));
}
