//! Letters of shards that are made to hand them out by hand: what arrives where, in which order, and what becomes of bodies.

#![allow(clippy::unwrap_used)]

use stoa_amqp::content::{CLASS_BASIC, ContentHeader, Properties};
use stoa_amqp::{ShortString, Table, Value};
use stoa_core::ids::{BodyId, ConnectionId};
use stoa_core::record::{self, BodyRef, flags};
use stoa_core::settings::DeadLetterTo;
use stoa_core::shard::{Effects, GetOutcome, QueueSpec};
use stoa_core::topology::{Actor, ExchangeDeclare, QueueDeclare};

use super::*;
use crate::dispatch::Dispatch;
use crate::shards::Running as RunningShard;
use crate::{Config, Running, start};

const ACTOR: Actor<'_> = Actor {
    vhost: "/",
    user: "guest",
    connection: ConnectionId(1),
};
const SOON: Duration = Duration::from_secs(20);

struct World {
    running: Running,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path().join("data"));
        config.threads = 2;
        config.store.segment_bytes = 1 << 20;
        Self {
            running: start(config).unwrap(),
            _dir: dir,
        }
    }

    fn broker(&self) -> &Arc<Broker> {
        &self.running.broker
    }

    fn queue(&self, name: &str) -> QueueId {
        let declare = QueueDeclare {
            name: name.as_bytes(),
            durable: true,
            ..QueueDeclare::default()
        };
        let declared = self
            .broker()
            .change_topology(|topology, changes| topology.declare_queue(&ACTOR, &declare, changes));
        let queue = declared.outcome.unwrap().queue;
        let spec = QueueSpec {
            id: queue.id,
            durable: true,
            auto_delete: false,
            settings: None,
        };
        self.broker().shard_of(queue.id).lock().shard.create(spec);
        queue.id
    }

    fn fanout(&self, name: &str, internal: bool, queues: &[&str]) {
        let declare = ExchangeDeclare {
            name: name.as_bytes(),
            kind: b"fanout",
            internal,
            ..ExchangeDeclare::default()
        };
        self.broker().change_topology(|topology, changes| {
            topology.declare_exchange(&ACTOR, &declare, changes).unwrap();
            for queue in queues {
                topology
                    .bind_queue(&ACTOR, queue.as_bytes(), name.as_bytes(), b"", &Table::new(), changes)
                    .unwrap();
            }
        });
    }

    /// As a shard hands out a letter.
    fn hand_out(&self, queue: QueueId, settings: &Arc<Settings>, reason: Reason, records: &[u8], count: u32) {
        let cell = self.broker().shard_of(queue);
        let mut running = cell.lock();
        let mut dispatch = Dispatch::new(self.broker(), cell.index);
        let RunningShard { outlets, .. } = &mut *running;
        let records = Records { bytes: records, count };
        dispatch.to(outlets).dead(Letter {
            queue,
            settings,
            first: Sequence(0),
            reason,
            records,
        });
        dispatch.hand_over(cell);
        drop(running);
        dispatch.after_unlock();
    }

    /// Takes what is in a queue: routing keys, last deaths and bodies.
    fn take(&self, queue: QueueId) -> Vec<(String, String, Vec<u8>)> {
        self.broker().settle_letters(Instant::now() + SOON);
        let mut taken = Vec::new();
        let mut take = || {
            let mut bodies = Vec::new();
            let outcome = self.broker().with_shard(queue, |shard, effects| {
                shard.get(queue, true, effects, |got| {
                    let (_, key) = stoa_core::dead_letter::exchange_and_key(got.record.envelope());
                    let properties = Properties::decode(&got.record.header()[12..]).unwrap();
                    let reason = properties.headers.and_then(|headers| headers.get("x-last-death-queue"));
                    let body = got.record.body_ref().map_or_else(
                        || got.record.body().to_vec(),
                        |body| {
                            bodies.push(body.id);
                            self.broker().bodies.get(body.id).unwrap().to_vec()
                        },
                    );
                    let reason = reason.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
                    taken.push((key.to_string(), reason, body));
                })
            });
            outcome == GetOutcome::Taken
        };
        while take() {}
        taken
    }
}

fn to(exchange: &str, routing_key: Option<&str>, at_least_once: bool) -> Arc<Settings> {
    Arc::new(Settings {
        dead_letter: Some(DeadLetterTo {
            exchange: exchange.into(),
            routing_key: routing_key.map(ShortString::from),
            at_least_once,
        }),
        ..Settings::default()
    })
}

fn header() -> Vec<u8> {
    let mut header = Vec::new();
    let content = ContentHeader {
        class: CLASS_BASIC,
        body_size: 4,
        properties: &[0, 0],
    };
    content.encode(&mut header);
    header
}

fn message(key: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let envelope = [&[0, key.len() as u8], key.as_bytes()].concat();
    record::push(&mut bytes, flags::PERSISTENT, 0, &envelope, &header(), body);
    bytes
}

fn message_apart(broker: &Broker, body: &[u8]) -> (Vec<u8>, BodyId) {
    let id = broker.bodies.insert(body.to_vec().into(), 1, true);
    let mut bytes = Vec::new();
    let body = BodyRef {
        id,
        size: body.len() as u64,
    };
    record::push_apart(&mut bytes, flags::PERSISTENT, 0, b"\0\x01k", &header(), body);
    (bytes, id)
}

#[test]
fn letters_arrive_in_the_order_in_which_they_left() {
    let world = World::new();
    let (source, dead) = (world.queue("source"), world.queue("dead"));
    let settings = to("", Some("dead"), true);
    let mut expected = Vec::new();
    for parcel in 0..100_u32 {
        let bodies: Vec<_> = (0..30).map(|n| (parcel * 30 + n).to_be_bytes()).collect();
        let records: Vec<_> = bodies.iter().flat_map(|body| message("source", body)).collect();
        world.hand_out(source, &settings, Reason::Rejected, &records, 30);
        expected.extend(bodies.iter().map(|body| ("dead".to_owned(), "source".to_owned(), body.to_vec())));
    }
    assert_eq!(world.take(dead), expected);
    world.running.stop();
}

#[test]
fn a_letter_goes_to_all_queues_but_back_in_a_circle() {
    let world = World::new();
    let [source, a, b] = ["source", "a", "b"].map(|name| world.queue(name));
    world.fanout("out", false, &["source", "a", "b"]);
    world.fanout("internal", true, &["a"]);
    let went = |queue: QueueId| world.take(queue).into_iter().map(|(key, _, _)| key).collect::<Vec<_>>();
    #[rustfmt::skip]
    let cases: [(&str, Reason, [&[&str]; 3]); 4] = [
        ("out", Reason::Expired, [&[], &["k"], &["k"]]),
        ("out", Reason::Rejected, [&["k"], &["k"], &["k"]]),
        ("internal", Reason::Expired, [&[], &["k"], &[]]),
        ("nowhere", Reason::Expired, [&[], &[], &[]]),
    ];
    for (exchange, reason, expected) in cases {
        world.hand_out(source, &to(exchange, None, false), reason, &message("k", b"body"), 1);
        assert_eq!([source, a, b].map(went), expected.map(<[_]>::to_vec), "{exchange} {reason:?}");
    }
    world.running.stop();
}

#[test]
fn a_body_apart_stays_as_long_as_a_letter_refers_to_it() {
    let world = World::new();
    let [source, a, b] = ["source", "a", "b"].map(|name| world.queue(name));
    world.fanout("out", false, &["a", "b"]);
    let bodies = &world.broker().bodies;
    let body = vec![7; 5000];
    for (exchange, arrives) in [("out", true), ("nowhere", false)] {
        let (record, id) = message_apart(world.broker(), &body);
        world.hand_out(source, &to(exchange, None, false), Reason::Expired, &record, 1);
        // The source's queue is deleted, perhaps before the letter is posted.
        bodies.release(id);
        for queue in [a, b] {
            let taken = world.take(queue);
            assert_eq!(taken.len(), usize::from(arrives));
            assert!(taken.iter().all(|(_, _, octets)| *octets == body));
        }
        assert_eq!(bodies.get(id), None);
    }
    world.running.stop();
}
