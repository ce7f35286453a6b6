//! Thousands of damaged sessions against one broker: it answers or closes, goes on serving others, and keeps nothing of them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::damage;
use crate::support::raw::{self, BODY, Raw};
use crate::support::{Broker, DEADLINE, eventually, seed, unique};

/// Damaged sessions before memory is measured for the first time, and after that. Another broker than ours gets fewer: the point is ours.
const WARM_UP: u64 = 1000;
const STREAMS: u64 = 5000;
const STREAMS_ELSEWHERE: u64 = 30;
/// What the process may grow by over `STREAMS` damaged sessions, in KiB: less than 4 KiB for each.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

#[tokio::test]
async fn damaged_streams_harm_nobody_and_leave_nothing() {
    let seed = seed();
    let Some(mut broker) = Broker::own() else {
        return attack(Broker::shared().amqp(), seed, STREAMS_ELSEWHERE);
    };
    let idle = broker.process().sockets();
    let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(broker.amqp()).unwrap()).collect();
    attack(broker.amqp(), seed, WARM_UP);
    let before = broker.process().resident_kib();
    attack(broker.amqp(), seed + 1, STREAMS);
    let after = broker.process().resident_kib();
    println!("resident: {before} KiB after {WARM_UP} damaged streams, {after} KiB after {STREAMS} more");
    assert!(after < before + GROWTH_KIB_MAX, "memory grew from {before} to {after} KiB");
    // whoever connects and says nothing is sent away as well
    silent.into_iter().for_each(read_to_the_end);
    eventually("as many sockets as in the beginning", async || {
        (broker.process().sockets() == idle).then_some(())
    })
    .await;
    assert!(broker.process().is_running());
    let said = broker.process().stderr();
    assert!(!said.contains("panicked"), "{said}");
}

/// Sends damaged sessions from two threads, while a well-behaved client does its work.
fn attack(address: SocketAddr, seed: u64, streams: u64) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let bystander = scope.spawn(|| bystander(address, &is_over));
        let attackers: Vec<_> = (0..2)
            .map(|half| {
                scope.spawn(move || {
                    for number in (half..streams).step_by(2) {
                        let mut random = StdRng::seed_from_u64(seed.wrapping_add(number));
                        play(address, &mut random);
                    }
                })
            })
            .collect();
        let outcomes: Vec<_> = attackers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        is_over.store(true, Ordering::SeqCst);
        assert!(bystander.join().unwrap() > 0);
        outcomes.into_iter().for_each(|outcome| outcome.unwrap());
    });
}

/// Sends one damaged session, at once or in pieces, then nothing more, and waits until the broker has closed.
fn play(address: SocketAddr, random: &mut StdRng) {
    let octets = damage::damaged(random);
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    let piece = if random.random_ratio(1, 4) {
        random.random_range(1..200)
    } else {
        octets.len().max(1)
    };
    for part in octets.chunks(piece) {
        if socket.write_all(part).is_err() {
            break;
        }
    }
    let _ = socket.shutdown(Shutdown::Write);
    read_to_the_end(socket);
}

fn read_to_the_end(mut socket: TcpStream) {
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut sink = [0; 4096];
    loop {
        match socket.read(&mut sink) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                let is_timeout = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(!is_timeout, "the broker keeps a connection whose client has closed or never spoken");
                return;
            }
        }
    }
}

/// A client that publishes and gets, over and over, on one connection and on new ones. How often.
fn bystander(address: SocketAddr, is_over: &AtomicBool) -> u32 {
    let queue = unique("bystander");
    let mut steady = Raw::login(address);
    steady.open(1);
    steady.call(&raw::queue_declare(1, &queue, [false, false, true, false, false]), 50, 11);
    let mut rounds = 0;
    while !is_over.load(Ordering::SeqCst) {
        steady.send(&raw::publish(1, "", &queue, &[false, false]));
        steady.send(&raw::header(1, 4));
        steady.send(&raw::frame(BODY, 1, b"work"));
        steady.call(&raw::method(1, 60, 70, |a| a.u16(0).short(&queue).u8(1)), 60, 71);
        steady.next();
        steady.next();
        Raw::login(address).open(1);
        rounds += 1;
        thread::sleep(Duration::from_millis(10));
    }
    rounds
}
