//! Every mistake that a client can make, and the answer to it: the reply code, the class and method that are blamed, the text, and whether it
//! closes the channel or the connection. RabbitMQ is asked the same; where its answer is none (it lets its reader crash, or does not look), the
//! table says so and the answer is the specification's.

// the functions with many lines are tables
#![allow(clippy::unwrap_used, clippy::too_many_lines, unreachable_pub)]

mod channels;
mod contents;
mod declarations;
mod framing;
mod handshake;
mod messages;
#[path = "../support/mod.rs"]
mod support;
mod transactions;

use std::net::SocketAddr;

use support::raw::{self, Event, Raw};
use support::{Broker, rabbitmq, unique};

/// A mistake and its answer.
struct Case {
    what: &'static str,
    mistake: fn(&mut Setting),
    answer: Answer,
    /// RabbitMQ's answer, where it is another.
    rabbitmq: Option<Answer>,
}

/// How a mistake is answered. A text is given by how it begins; `$q` and `$x` stand in it for the setting's names.
#[derive(Debug)]
enum Answer {
    /// channel.close: code, class, method, text.
    Channel(u16, u16, u16, String),
    /// connection.close, the same.
    Connection(u16, u16, u16, String),
    /// The socket is closed without a word.
    End,
    /// There is none.
    Silence,
}

/// Where a mistake is made: a connection with channel 1 open, and names that nobody else uses.
struct Setting {
    address: SocketAddr,
    raw: Raw,
    queue: String,
    exchange: String,
    /// Other connections that must live until the answer has come.
    others: Vec<Raw>,
}

const NONE: [bool; 5] = [false; 5];
const PASSIVE: [bool; 5] = [true, false, false, false, false];
const DURABLE: [bool; 5] = [false, true, false, false, false];

fn case(what: &'static str, mistake: fn(&mut Setting), answer: Answer) -> Case {
    Case {
        what,
        mistake,
        answer,
        rabbitmq: None,
    }
}

fn channel(code: u16, class: u16, method: u16, text: &str) -> Answer {
    Answer::Channel(code, class, method, text.into())
}

fn connection(code: u16, class: u16, method: u16, text: &str) -> Answer {
    Answer::Connection(code, class, method, text.into())
}

/// Asks Stoa, and RabbitMQ where it is installed.
fn check(cases: &[Case]) {
    let broker = Broker::shared();
    let mut wrong = ask(broker.amqp(), cases);
    if let Some(rabbitmq) = rabbitmq::address() {
        wrong.extend(ask(rabbitmq, cases).into_iter().map(|wrong| format!("RabbitMQ: {wrong}")));
    }
    assert!(
        wrong.is_empty(),
        "{} answers to {} mistakes are wrong:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

fn ask(address: SocketAddr, cases: &[Case]) -> Vec<String> {
    let is_rabbitmq = Raw::is_rabbitmq(address);
    let mut wrong = Vec::new();
    for case in cases {
        let mut setting = Setting::new(address);
        (case.mistake)(&mut setting);
        let got = setting.answer();
        let expected = case.rabbitmq.as_ref().filter(|_| is_rabbitmq).unwrap_or(&case.answer);
        if !got.is(expected) {
            wrong.push(format!("{}\n    expected {expected:?}\n    got      {got:?}", case.what));
        }
        setting.goes_on(&got);
    }
    wrong
}

impl Case {
    fn but_rabbitmq(mut self, answer: Answer) -> Self {
        self.rabbitmq = Some(answer);
        self
    }
}

impl Answer {
    fn is(&self, expected: &Answer) -> bool {
        match (self, expected) {
            (Self::Channel(code, class, method, text), Self::Channel(a, b, c, begin))
            | (Self::Connection(code, class, method, text), Self::Connection(a, b, c, begin)) => {
                (code, class, method) == (a, b, c) && text.starts_with(begin)
            }
            (Self::End, Self::End) | (Self::Silence, Self::Silence) => true,
            _ => false,
        }
    }
}

impl Setting {
    fn new(address: SocketAddr) -> Self {
        let mut raw = Raw::login(address);
        raw.open(1);
        Self {
            address,
            raw,
            queue: unique("q"),
            exchange: unique("x"),
            others: Vec::new(),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.raw.send(bytes);
    }

    fn declare_queue(&mut self, flags: [bool; 5]) {
        self.raw.call(&raw::queue_declare(1, &self.queue, flags), 50, 11);
    }

    fn declare_exchange(&mut self, kind: &str, flags: [bool; 5]) {
        self.raw.call(&raw::exchange_declare(1, &self.exchange, kind, flags), 40, 11);
    }

    /// A queue that belongs to another connection.
    fn foreign_queue(&mut self) {
        let mut other = Raw::login(self.address);
        other.open(1);
        other.call(&raw::queue_declare(1, &self.queue, [false, false, true, false, false]), 50, 11);
        self.others.push(other);
    }

    /// Reads on until the channel or the connection is closed.
    fn answer(&mut self) -> Answer {
        loop {
            let frame = match self.raw.next() {
                Event::Frame(frame) => frame,
                Event::End => return Answer::End,
                Event::Silence => return Answer::Silence,
            };
            let closes: fn(u16, u16, u16, String) -> Answer = match frame.method() {
                Some((20, 40)) => Answer::Channel,
                Some((10, 50)) => Answer::Connection,
                _ => continue,
            };
            let mut arguments = frame.arguments();
            let (code, text, class, method) = (arguments.u16(), arguments.short(), arguments.u16(), arguments.u16());
            return closes(code, class, method, text.replace(&self.queue, "$q").replace(&self.exchange, "$x"));
        }
    }

    /// After a channel error the connection serves on, and the channel's number can be used again; after a connection error the socket is
    /// closed. Others are served in any case.
    fn goes_on(&mut self, answer: &Answer) {
        match answer {
            Answer::Channel(..) => {
                self.send(&raw::method(1, 20, 41, |a| a));
                self.raw.open(1);
            }
            Answer::Connection(..) => {
                self.send(&raw::method(0, 10, 51, |a| a));
                assert!(self.raw.ends(), "the socket stays open after connection.close-ok");
            }
            Answer::End | Answer::Silence => {}
        }
        Raw::login(self.address).open(1);
    }
}
