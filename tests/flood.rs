//! More comes in than goes out: publishers are slowed down by the disk, and by nothing else. Nobody stands still, and nothing is lost.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use support::Broker;
use support::raw::{self, Raw};

const QUEUES: u64 = 4;
const ROUNDS: u64 = 12;
/// Messages to a queue before their confirms are waited for: 512 KiB.
const WINDOW: u64 = 512;

/// Persistent messages of 1 KiB.
fn publish(raw: &mut Raw, queue: &str, count: u64) {
    let publish = raw::publish(1, "", queue, &[false, false]);
    let body = raw::frame(raw::BODY, 1, &[b'x'; 1024]);
    let message = [publish, raw::persistent_header(1, 1024), body].concat();
    raw.send(&message.repeat(count as usize));
}

fn until_confirmed(raw: &mut Raw, tag: u64) {
    loop {
        let ack = raw.expect(60, 80);
        if ack.arguments().u64() >= tag {
            return;
        }
    }
}

/// What came last may fill the memory before the journal has it. It may leave once the journal does, even if no publisher is left who could bring
/// the shard anything.
#[test]
fn publishers_go_on_whatever_fills_the_memory() {
    let configuration = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(configuration.path(), "[limits]\nmemory_bytes_max = \"1MiB\"\n").unwrap();
    let path: &'static str = configuration.path().to_str().unwrap().to_owned().leak();
    let Some(broker) = Broker::own_with(&["--config", path]) else {
        return;
    };
    let clients = (0..QUEUES).map(|number| {
        let address = broker.amqp();
        std::thread::spawn(move || {
            let mut raw = Raw::login(address);
            raw.open(1);
            let queue = format!("q{number}");
            let durable = [false, true, false, false, false];
            raw.call(&raw::queue_declare(1, &queue, durable), 50, 11);
            raw.call(&raw::method(1, 85, 10, |a| a.bits(&[false])), 85, 11);
            for round in 1..=ROUNDS {
                publish(&mut raw, &queue, WINDOW);
                until_confirmed(&mut raw, round * WINDOW);
            }
            let declared = raw.call(&raw::queue_declare(1, &queue, durable), 50, 11);
            let mut arguments = declared.arguments();
            arguments.short();
            assert_eq!(u64::from(arguments.u32()), ROUNDS * WINDOW, "{queue}");
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.join().unwrap();
    }
}
