//! Notifications of what becomes of a space's tuples (`x-notify-exchange`): a copy of the tuple's message, published with the routing key
//! `space.<name>.<write|take|return|expire>` and the event in a header. Nobody waits for them: what finds no queue is dropped, and one that is on its way when
//! the process ends is lost.

use stoa_amqp::content::{Change, edit};
use stoa_amqp::{ShortStr, ShortString, Value};
use stoa_core::record::Record;
use stoa_core::shard::Event;
use stoa_core::topology::{Queue, Topology};

use super::post::{Asked, Content, Post};
use super::{Parcel, Run};

/// The header that says what became of the tuple. What has it is a notification, of which no space notifies anybody: else two of them could go on for ever.
const EVENT: &str = "x-space-event";

impl Post<'_> {
    /// Notifications of tuples of one space.
    pub(super) fn notes(&mut self, topology: &Topology, run: &Run, parcel: &Parcel, event: Event) {
        let space = topology.queue_by_id(run.queue);
        let settings = topology.settings(run.queue);
        let exchange = settings.as_ref().and_then(|settings| settings.space.as_ref()?.notify.as_ref());
        for record in parcel.records(run).iter() {
            if let (Some(space), Some(exchange)) = (&space, exchange) {
                self.note(topology, space, exchange, event, record);
            }
            if let Some(body) = record.body_ref() {
                self.broker.bodies.release(body.id);
            }
        }
    }

    fn note(&mut self, topology: &Topology, space: &Queue, exchange: &ShortString, event: Event, record: Record<'_>) {
        let Ok(name) = ShortStr::try_from(EVENT) else { return };
        if self.broker.facts(record.header()).headers.get(EVENT).is_some() {
            return;
        }
        let (mut header, value) = (Vec::new(), Value::from(event.name()));
        let changes = [Change::Set(name, &value), Change::WithoutExpiration];
        if let Err(error) = edit(record.header(), &changes, &mut header) {
            tracing::error!(space = %space.name, %error, "a tuple's header is malformed: nobody is told of it");
            return;
        }
        let key = ShortString::truncated(&format!("space.{}.{}", space.name, event.name()));
        let mut envelope = Vec::with_capacity(2 + exchange.as_bytes().len() + key.as_bytes().len());
        for name in [exchange, &key] {
            envelope.push(name.as_bytes().len() as u8);
            envelope.extend_from_slice(name.as_bytes());
        }
        self.targets.clear();
        let mut asked = Asked {
            broker: self.broker,
            header: &header,
            even_twice: false,
            claims: &mut self.claims,
        };
        // Without the exchange there is nobody to tell.
        topology
            .route_letter(&space.vhost, exchange.as_bytes(), &[key.as_bytes()], &mut asked, &mut self.targets)
            .ok();
        let content = Content {
            record,
            due: None,
            envelope: &envelope,
            header: &header,
        };
        self.deliver(&content, false, None);
    }
}
