//! Valid sessions as octets, and ways to damage them.

use rand::Rng;
use rand::rngs::StdRng;

use crate::support::raw::{self, BODY, HEADER, HEARTBEAT, Writer};

/// A session in the pieces that a client would send: protocol header and frames. It uses nothing that outlives its connection.
pub fn session() -> Vec<Vec<u8>> {
    let properties = Writer::default().u16(60).u16(0).u64(11).u16(0xB000).short("text/plain");
    let headers = Writer::default()
        .short("a")
        .u8(b'I')
        .u32(7)
        .short("b")
        .u8(b'S')
        .long(b"text")
        .short("c")
        .u8(b'F')
        .table(b"\x01xt\x01")
        .0;
    let content = properties.table(&headers).u8(1).0;
    vec![
        raw::PROTOCOL_HEADER.to_vec(),
        raw::start_ok("PLAIN", b"\0guest\0guest", true),
        raw::tune_ok(2047, 131_072, 60),
        raw::connection_open("/"),
        raw::method(1, 20, 10, |a| a.short("")),
        raw::method(2, 20, 10, |a| a.short("")),
        raw::queue_declare(1, "", [false, false, true, true, false]),
        raw::method(1, 50, 20, |a| {
            a.u16(0).short("").short("amq.topic").short("a.#").u8(0).table(b"\x01xt\x01")
        }),
        raw::method(2, 85, 10, |a| a.bits(&[false])),
        raw::method(1, 60, 10, |a| a.u32(0).u16(10).u8(0)),
        raw::consume(1, "", "tag", [false; 4]),
        raw::publish(2, "amq.topic", "a.b", &[true, false]),
        raw::frame(HEADER, 2, &content),
        raw::frame(BODY, 2, b"hello "),
        raw::frame(HEARTBEAT, 0, b""),
        raw::frame(BODY, 2, b"world"),
        raw::publish(2, "amq.headers", "nowhere", &[true, false]),
        raw::header(2, 0),
        raw::method(1, 60, 80, |a| a.u64(1).bits(&[false])),
        raw::method(1, 60, 110, |a| a.bits(&[true])),
        raw::method(1, 60, 30, |a| a.short("tag").bits(&[false])),
        raw::method(1, 60, 70, |a| a.u16(0).short("").bits(&[false])),
        raw::method(1, 60, 120, |a| a.u64(0).bits(&[true, true])),
        raw::method(1, 50, 30, |a| a.u16(0).short("").bits(&[false])),
        raw::method(2, 20, 40, |a| a.u16(200).short("").u16(0).u16(0)),
        raw::method(0, 10, 50, |a| a.u16(200).short("").u16(0).u16(0)),
    ]
}

/// The session with something wrong in it; now and then more than one thing.
pub fn damaged(random: &mut StdRng) -> Vec<u8> {
    let mut frames = session();
    if random.random_ratio(1, 3) {
        shuffle(random, &mut frames);
    }
    // mostly after the login, which is the smaller part of the protocol
    let from = if random.random_ratio(1, 4) { 0 } else { 4.min(frames.len()) };
    let kept: usize = frames[..from].iter().map(Vec::len).sum();
    let mut octets = frames.concat();
    for _ in 0..random.random_range(1..4) {
        hurt(random, &mut octets, kept);
    }
    octets
}

/// Frames lost, doubled, moved, or sent on another channel.
fn shuffle(random: &mut StdRng, frames: &mut Vec<Vec<u8>>) {
    let (at, other) = (random.random_range(0..frames.len()), random.random_range(0..frames.len()));
    match random.random_range(0..4) {
        0 => drop(frames.remove(at)),
        1 => frames.insert(at, frames[other].clone()),
        2 => frames.swap(at, other),
        _ => frames[at][2] = random.random_range(0..4),
    }
}

fn hurt(random: &mut StdRng, octets: &mut Vec<u8>, kept: usize) {
    if octets.len() <= kept {
        return;
    }
    let at = random.random_range(kept..octets.len());
    let run = random.random_range(1..64).min(octets.len() - at);
    match random.random_range(0..8) {
        0 => octets[at] ^= 1 << random.random_range(0..8),
        1 => octets[at] = random.random(),
        2 => octets[at] = [0, 1, 0x7F, 0x80, 0xCE, 0xFF][random.random_range(0..6)],
        3 => octets.truncate(at),
        4 => random.fill(&mut octets[at..at + run]),
        5 => drop(octets.drain(at..at + run)),
        6 => {
            let again = octets[at..at + run].to_vec();
            octets.splice(at..at, again);
        }
        _ => {
            let mut noise = vec![0; random.random_range(1..2000)];
            random.fill(&mut noise[..]);
            octets.splice(at..at, noise);
        }
    }
}
