//! Spaces over AMQP: what a client asks of one by `basic.consume`, `basic.get` and `queue.declare`, and the tuples that it publishes (docs/spaces.md).

use std::sync::Arc;

use stoa_amqp::content::{ContentHeader, Properties};
use stoa_amqp::{Method, RawTable, ReplyCode, ShortStr, basic};
use stoa_core::ids::QueueId;
use stoa_core::shard::{Inquired, Inquiry, Seek};
use stoa_core::space::{Intent, Template, Tuple};
use stoa_core::topology::{Queue, View};

use super::error::Exception;
use super::publish::PUBLISH;
use super::session::{Open, Outcome, Wait};
use crate::broker::Broker;

/// What is asked of a space without waiting, while a chunk is loaded for it.
#[derive(Debug)]
pub(crate) struct Asking {
    /// By the name of which queue.
    by: QueueId,
    space: QueueId,
    inquiry: Inquiry,
    count: u64,
}

impl Asking {
    /// What was asked before, if it was the same, or else from the start.
    fn going_on(before: Option<Self>, queue: &Queue, space: QueueId) -> Self {
        let template = || {
            queue
                .view
                .as_ref()
                .map_or_else(|| Arc::new(Template::any()), |view| view.template.clone())
        };
        before
            .filter(|asking| (asking.by, asking.space) == (queue.id, space))
            .unwrap_or_else(|| Self {
                by: queue.id,
                space,
                inquiry: Inquiry::new(template()),
                count: 0,
            })
    }
}

/// The consumers of a queue: on it, or on the space that it shows.
pub(crate) struct Sought {
    /// Where the tuples are.
    pub(crate) space: Arc<Queue>,
    pub(crate) seek: Seek,
    /// How long it may hold what it takes (`x-lease`), in milliseconds.
    pub(crate) lease_ms: Option<u64>,
}

/// What `basic.consume` says to a space.
///
/// # Errors
/// The argument that will not do, and why.
fn seek_of(arguments: RawTable<'_>, view: Option<&View>) -> Result<(Seek, Option<u64>), (&'static str, String)> {
    let integer = |name: &'static str, least: i64| match arguments.get(name) {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(n) if n >= least => Ok(Some(n.cast_unsigned())),
            Some(n) => Err((name, format!("expected an integer from {least} on, came {n}"))),
            None => Err((name, format!("expected an integer, came {}", value.type_name()))),
        },
    };
    let flag = |name: &'static str| match arguments.get(name) {
        None => Ok(false),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| (name, format!("expected true or false, came {}", value.type_name()))),
    };
    let template = match (view, arguments.get("x-template")) {
        (None, None) => Arc::new(Template::any()),
        (Some(view), None) => view.template.clone(),
        (Some(_), Some(_)) => return Err(("x-template", "the view has a template of its own".to_owned())),
        (None, Some(value)) => Arc::new(Template::from_amqp(&value).map_err(|error| ("x-template", error.to_string()))?),
    };
    let intent = match arguments.get("x-mode").as_ref().map(|value| value.as_bytes()) {
        None => view.map_or(Intent::Take, |view| view.intent),
        Some(Some(b"take")) => Intent::Take,
        Some(Some(b"read")) => Intent::Read,
        Some(_) => return Err(("x-mode", "expected take or read".to_owned())),
    };
    let seek = Seek {
        template,
        intent,
        max: integer("x-max", 1)?.map(|max| u32::try_from(max).unwrap_or(u32::MAX)),
        follow: flag("x-tail")?,
        timeout_ms: integer("x-timeout", 0)?,
        wait_held: flag("x-wait-held")? || view.is_some_and(|view| view.wait_held),
    };
    Ok((seek, integer("x-lease", 0)?))
}

/// The header of a tuple that is not to replace another.
const IF_NONE_MATCH: &str = "x-if-none-match";

/// Whether the tuple of a message is its body, which must lie in its record then.
///
/// # Errors
/// If it has none that can be read (406).
pub(super) fn check_tuple(header: &ContentHeader<'_>, body: &[u8]) -> Result<bool, Exception> {
    let properties = Properties::decode(header.properties).unwrap_or_default();
    let condition = properties.headers.and_then(|headers| headers.get(IF_NONE_MATCH));
    if condition.is_some_and(|value| value.as_bytes() != Some(b"*")) {
        let text =
            format!("header '{IF_NONE_MATCH}': expected \"*\", which puts a tuple in only if there is none with its key (x-space-key)");
        return Err(Exception::new(ReplyCode::PreconditionFailed, PUBLISH, text));
    }
    let tuple = Tuple::of_message(&properties, body);
    tuple
        .map(|tuple| tuple.is_body())
        .map_err(|malformed| Exception::new(ReplyCode::PreconditionFailed, PUBLISH, malformed.to_string()))
}

impl Open {
    /// What a consumer of this queue wants, if that is a space or shows one.
    pub(crate) fn sought(
        &self,
        broker: &Broker,
        number: u16,
        queue: &Arc<Queue>,
        arguments: RawTable<'_>,
        cause: (u16, u16),
    ) -> Result<Option<Sought>, Exception> {
        if queue.view.is_none() && !queue.is_space() {
            return Ok(None);
        }
        let space = self.space_of(broker, number, queue, cause)?;
        let (seek, lease_ms) = seek_of(arguments, queue.view.as_deref()).map_err(|(argument, problem)| {
            let text = format!("invalid arg '{argument}' for {}: {problem}", queue.resource());
            Exception::new(ReplyCode::PreconditionFailed, cause, text)
        })?;
        Ok(Some(Sought { space, seek, lease_ms }))
    }

    /// The space that a queue is or shows. Whoever reads a view must be allowed to read its space.
    fn space_of(&self, broker: &Broker, number: u16, queue: &Arc<Queue>, cause: (u16, u16)) -> Result<Arc<Queue>, Exception> {
        let Some(view) = &queue.view else { return Ok(queue.clone()) };
        let space = self.readable_queue(broker, number, ShortStr::from(&view.space), cause)?;
        if space.is_space() {
            return Ok(space);
        }
        let text = format!("{} shows {}, which is no space", queue.resource(), space.resource());
        Err(Exception::new(ReplyCode::PreconditionFailed, cause, text))
    }

    /// `basic.get` on a space or a view: takes or reads the oldest tuple that matches.
    pub(crate) fn get_tuple(&mut self, broker: &Arc<Broker>, number: u16, queue: &Arc<Queue>, no_ack: bool, cause: (u16, u16)) -> Outcome {
        let before = self.asking.take();
        let space = self.space_of(broker, number, queue, cause)?;
        let mut asking = Asking::going_on(before, queue, space.id);
        let reads = queue.view.as_ref().is_some_and(|view| view.intent == Intent::Read);
        let outlet = self.outlet.clone();
        let seen = broker.shard_of(space.id).progress();
        let outcome = broker.with_shard(space.id, |shard, effects| {
            if reads {
                return shard.read_tuple(space.id, &mut asking.inquiry, effects, |got| {
                    outlet.lock().got(number, space.id.copies(), no_ack, &got, &broker.bodies);
                });
            }
            shard.take_tuple(space.id, &mut asking.inquiry, no_ack, effects, |got| {
                outlet.lock().got(number, space.id, no_ack, &got, &broker.bodies);
            })
        });
        match outcome {
            Inquired::Found => {}
            Inquired::End => self.reply(number, &Method::BasicGetEmpty(basic::GetEmpty {})),
            Inquired::Loading | Inquired::Pausing => return Ok(Some(self.ask_again(broker, asking, seen, outcome))),
        }
        Ok(None)
    }

    /// How many tuples a view shows; `Err`: that is not known yet.
    pub(crate) fn count_of(
        &mut self,
        broker: &Arc<Broker>,
        number: u16,
        queue: &Arc<Queue>,
        cause: (u16, u16),
    ) -> Result<Result<u64, Wait>, Exception> {
        let before = self.asking.take();
        let space = self.space_of(broker, number, queue, cause)?;
        let mut asking = Asking::going_on(before, queue, space.id);
        let seen = broker.shard_of(space.id).progress();
        let outcome = broker.with_shard(space.id, |shard, effects| {
            shard.count_tuples(space.id, &mut asking.inquiry, &mut asking.count, effects)
        });
        if outcome == Inquired::End {
            return Ok(Ok(asking.count));
        }
        Ok(Err(self.ask_again(broker, asking, seen, outcome)))
    }

    fn ask_again(&mut self, broker: &Broker, asking: Asking, seen: u64, outcome: Inquired) -> Wait {
        let shard = broker.shard_index(asking.space);
        self.asking = Some(asking);
        // One that only paused need not wait for anything: the shard is not where it was said to be.
        let seen = if outcome == Inquired::Loading { seen } else { seen.wrapping_sub(1) };
        Wait::Load(shard, seen)
    }
}
