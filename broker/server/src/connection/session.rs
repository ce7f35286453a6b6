//! An open connection: its channels, and where each frame goes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use stoa_amqp::frame::{Frame, FrameKind};
use stoa_amqp::{Method, ReplyCode, ShortStr, ShortString, fast, frame};
use stoa_amqp::{channel, connection};
use stoa_core::ids::{ConnectionId, Epoch};
use stoa_core::shard::ReturnCause;
use stoa_core::topology::Actor;
use tokio::time::Instant;

use super::content::{Incoming, method_instead_of_content};
use super::error::{Exception, Scope};
use super::handshake::Opened;
use super::properties::KnownProperties;
use super::publish::{Batch, Message};
use super::route::Route;
use super::space::Asking;
use super::tx::Transaction;
use crate::alarms::Raised;
use crate::broker::Broker;
use crate::counters::{PublishCounters, Tally};
use crate::outlet::Outlet;
use crate::rates::Paying;
use crate::tallies::Admission;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) id: ConnectionId,
    pub(crate) outlet: Arc<Outlet>,
    pub(crate) vhost: String,
    pub(crate) user: String,
    /// It counts as one of its virtual host's and user's connections, and its channels with it.
    admission: Admission,
    frame_max: u32,
    channel_max: u16,
    pub(crate) channels: HashMap<u16, Channel>,
    pub(crate) route: Route,
    pub(crate) known: KnownProperties,
    /// What it published and is not counted yet.
    pub(super) tally: Tally,
    /// The rates that it publishes at.
    pub(crate) paying: Paying,
    /// The alarms there were when input was taken last.
    raised: Raised,
    /// The client wants to be told when it is blocked, and whether it has been.
    blocked_notify: bool,
    told_blocked: bool,
    /// A channel limits, or has limited, what its consumers hold together.
    pub(crate) limits: bool,
    /// `connection.close` is on its way, by either side: nothing else counts any more.
    pub(crate) closing: Option<Closing>,
    /// A frame was broken: where the next one begins is not known.
    is_out_of_frame: bool,
    /// What a method asks of a space, while it waits for the disk.
    pub(crate) asking: Option<Asking>,
}

/// The frame of `connection.close-ok`.
const CLOSE_OK: [u8; 12] = [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 51, frame::END];

/// How far the end of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// We sent `close` and wait for `close-ok`.
    AwaitCloseOk,
    /// We answered the client's `close`, and give it the time to close the socket.
    Answered,
    /// The client has answered our `close`: the socket can go.
    Done,
}

/// One channel, as its connection's task sees it.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    /// Confirm mode.
    pub(crate) confirms: bool,
    /// Transactional: what waits for the commit.
    pub(crate) transaction: Option<Box<Transaction>>,
    pub(crate) incoming: Option<Box<Incoming>>,
    /// Unacknowledged messages that each new consumer may have; 0: no limit.
    pub(crate) prefetch: u16,
    /// The queue that an empty name stands for: the one declared last.
    pub(crate) last_queue: Option<ShortString>,
    /// The broker has closed the channel: everything but `close-ok` is dropped.
    closing: bool,
    /// What it publishes.
    pub(super) counts: Arc<PublishCounters>,
}

/// Why a connection's input has to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The client's password is looked at.
    Login,
    /// The answers before this method must be durable first.
    Commit,
    /// This shard must have come further than it had: a chunk has to be read from disk.
    Load(usize, u64),
    /// This shard has more in memory than it should.
    Pressure(usize, u64),
    /// The connection publishes, and there is an alarm: until that is over.
    Alarm,
    /// It has published as much as it may in this time.
    Rate(Instant),
}

/// What came of a method.
pub(crate) type Outcome = Result<Option<Wait>, Exception>;

impl Open {
    pub(crate) fn new(id: ConnectionId, outlet: Arc<Outlet>, opened: Opened) -> Self {
        Self {
            id,
            outlet,
            vhost: opened.vhost,
            user: opened.client.user,
            admission: opened.admission,
            frame_max: opened.tuned.frame_max,
            channel_max: opened.tuned.channel_max,
            channels: HashMap::new(),
            route: Route::default(),
            known: KnownProperties::default(),
            tally: Tally::default(),
            paying: Paying::default(),
            raised: Raised::default(),
            blocked_notify: opened.client.blocked_notify,
            told_blocked: false,
            limits: false,
            closing: None,
            is_out_of_frame: false,
            asking: None,
        }
    }

    /// In whose name the topology is used.
    pub(crate) fn actor(&self) -> Actor<'_> {
        Actor {
            vhost: &self.vhost,
            user: &self.user,
            connection: self.id,
        }
    }

    /// Takes as many frames as there are; gives how many octets those were, and why it stopped if it did.
    pub(crate) fn take(&mut self, broker: &Arc<Broker>, batch: &mut Batch, input: &[u8]) -> (usize, Option<Wait>) {
        let mut at = 0;
        let mut wait = None;
        self.raised = broker.alarms.raised();
        let mut is_held = self.raised.any() || self.pays(broker);
        while wait.is_none() && self.closing != Some(Closing::Done) {
            let rest = &input[at..];
            if self.is_out_of_frame {
                at += self.resynchronize(rest);
                break;
            }
            if self.closing.is_none()
                && !is_held
                && let Some((publish, size)) = fast::publish(rest, self.frame_max)
                && self.takes_publish(publish.channel, publish.immediate)
            {
                let message = Message::of(&publish);
                if !self.publish_alike(broker, batch, &message) {
                    if let Err(exception) = self.publish(broker, batch, message) {
                        self.except(broker, batch, publish.channel, &exception);
                    }
                    is_held |= self.paying.is_any();
                }
                at += size;
                continue;
            }
            let (frame, size) = match frame::next_frame(rest, self.frame_max) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(error) => {
                    self.conclude(broker, batch, 0, Err(error.into()));
                    // What follows cannot be told apart any more, except the one frame that is waited for.
                    self.is_out_of_frame = true;
                    continue;
                }
            };
            let outcome = self.frame(broker, batch, &frame);
            wait = self.conclude(broker, batch, frame.channel, outcome);
            if wait.is_none() {
                at += size;
            }
        }
        if !batch.is_empty() {
            batch.submit(broker, &self.outlet, &self.route);
        }
        self.count_published(broker);
        self.lend(broker);
        if wait == Some(Wait::Alarm) {
            self.tell_blocked();
        }
        (at, wait.or_else(|| self.pressure(broker)))
    }

    /// Whether there is a rate that messages are paid for.
    fn pays(&mut self, broker: &Broker) -> bool {
        let version = broker.topology_version.load(Ordering::Acquire);
        if self.paying.version != version {
            let site = broker.topology.read();
            let own = broker.rates.of_connection(&site.topology, &self.vhost, &self.user);
            drop(site);
            self.paying.renew(own, version);
        }
        self.paying.is_any()
    }

    /// Tells the client that it is blocked, if it wants to know.
    fn tell_blocked(&mut self) {
        if self.blocked_notify && !self.told_blocked {
            self.told_blocked = true;
            let reason = ShortStr::new(self.raised.reason().as_bytes()).unwrap_or_default();
            Method::ConnectionBlocked(connection::Blocked { reason }).write_frame(0, self.outlet.lock().buffer());
        }
    }

    /// The store has failed, and with it what the client waits to have confirmed. True: it is blocked from now on.
    pub(crate) fn is_failed(&mut self, broker: &Broker) -> bool {
        if !broker.commits.has_failed() || self.closing.is_some() || !self.channels.values().any(|channel| channel.confirms) {
            return false;
        }
        self.raised = broker.alarms.raised();
        self.tell_blocked();
        true
    }

    /// The alarm is over.
    pub(crate) fn tell_unblocked(&mut self) {
        if std::mem::take(&mut self.told_blocked) && self.closing.is_none() {
            Method::ConnectionUnblocked(connection::Unblocked {}).write_frame(0, self.outlet.lock().buffer());
        }
    }

    /// After a broken frame only `connection.close-ok` counts, wherever in the input it lies: without it the connection would last until the
    /// time for the answer is over. Gives the octets that cannot be a part of it.
    fn resynchronize(&mut self, input: &[u8]) -> usize {
        if input.windows(CLOSE_OK.len()).any(|octets| octets == CLOSE_OK) {
            self.closing = Some(Closing::Done);
            return input.len();
        }
        input.len().saturating_sub(CLOSE_OK.len() - 1)
    }

    /// The fast path is for channels on which nothing unusual is under way.
    fn takes_publish(&self, number: u16, immediate: bool) -> bool {
        !immediate
            && self
                .channels
                .get(&number)
                .is_some_and(|channel| !channel.closing && channel.incoming.is_none())
    }

    /// Publishers wait where the shards that they publish to have too much already.
    fn pressure(&self, broker: &Broker) -> Option<Wait> {
        self.route.targets.iter().find_map(|target| {
            let cell = broker.shard_of(target.queue);
            let seen = cell.progress();
            cell.is_pressed().then_some(Wait::Pressure(cell.index, seen))
        })
    }

    fn frame(&mut self, broker: &Arc<Broker>, batch: &mut Batch, frame: &Frame<'_>) -> Outcome {
        match frame.kind {
            FrameKind::Heartbeat if frame.channel == 0 => Ok(None),
            FrameKind::Heartbeat => Err(Exception::connection(
                ReplyCode::UnexpectedFrame,
                (0, 0),
                "a heartbeat frame belongs on channel 0",
            )),
            FrameKind::Method => self.method(broker, batch, frame),
            FrameKind::Header | FrameKind::Body => self.content(broker, batch, frame),
        }
    }

    fn method(&mut self, broker: &Arc<Broker>, batch: &mut Batch, frame: &Frame<'_>) -> Outcome {
        let method = Method::decode(frame.payload)?;
        if self.closing.is_some() && frame.channel != 0 {
            return Ok(None);
        }
        if frame.channel == 0 {
            return self.connection_method(broker, batch, &method);
        }
        if let Method::ChannelOpen(_) = method {
            return self.open_channel(broker, frame.channel);
        }
        if self.channels.get(&frame.channel).is_some_and(|channel| channel.closing) {
            self.method_while_closing(frame.channel, &method);
            return Ok(None);
        }
        let Some(channel) = self.channels.get_mut(&frame.channel) else {
            let text = format!("expected 'channel.open', got {} on channel {}", method.name(), frame.channel);
            return Err(Exception::connection(ReplyCode::ChannelError, method.id(), text));
        };
        if channel.incoming.is_some() {
            return Err(method_instead_of_content(&method));
        }
        match &method {
            Method::BasicPublish(publish) => {
                if publish.immediate {
                    return Err(Exception::connection(ReplyCode::NotImplemented, method.id(), "immediate=true"));
                }
                channel.incoming = Some(Box::new(Incoming::new(publish)));
                Ok(None)
            }
            Method::ChannelClose(_) => {
                batch.submit(broker, &self.outlet, &self.route);
                self.drop_channel(broker, batch, frame.channel);
                Method::ChannelCloseOk(channel::CloseOk {}).write_frame(frame.channel, self.outlet.lock().reply_buffer());
                Ok(None)
            }
            method => self.channel_method(broker, batch, frame.channel, method),
        }
    }

    /// Until `close-ok` has come, all else is dropped, as in RabbitMQ. A `close` that crossed ours is answered, and its sender
    /// answers ours yet.
    fn method_while_closing(&mut self, number: u16, method: &Method<'_>) {
        match method {
            Method::ChannelCloseOk(_) => drop(self.channels.remove(&number)),
            Method::ChannelClose(_) => Method::ChannelCloseOk(channel::CloseOk {}).write_frame(number, self.outlet.lock().reply_buffer()),
            _ => {}
        }
    }

    fn connection_method(&mut self, broker: &Arc<Broker>, batch: &mut Batch, method: &Method<'_>) -> Outcome {
        match method {
            // A client may ask several times, from several threads, and each of them waits for an answer.
            Method::ConnectionClose(_) => {
                if self.closing.is_none() && self.outlet.lock().is_holding() {
                    return Ok(Some(Wait::Commit));
                }
                batch.submit(broker, &self.outlet, &self.route);
                self.release(broker, batch);
                self.admission.release();
                Method::ConnectionCloseOk(connection::CloseOk {}).write_frame(0, self.outlet.lock().buffer());
                self.closing = Some(Closing::Answered);
                Ok(None)
            }
            Method::ConnectionCloseOk(_) if self.closing.is_some() => {
                self.closing = Some(Closing::Done);
                Ok(None)
            }
            Method::ConnectionUpdateSecret(_) => {
                Method::ConnectionUpdateSecretOk(connection::UpdateSecretOk {}).write_frame(0, self.outlet.lock().reply_buffer());
                Ok(None)
            }
            method => {
                let text = format!("{} does not belong on channel 0 of an open connection", method.name());
                Err(Exception::connection(ReplyCode::ChannelError, method.id(), text))
            }
        }
    }

    fn open_channel(&mut self, broker: &Broker, number: u16) -> Outcome {
        let is_open = |channel: &&Channel| !channel.closing;
        let open = self.channels.values().filter(is_open).count();
        // The limit is how many there are, as in RabbitMQ: their numbers may be higher.
        if open >= usize::from(self.channel_max) {
            let text = format!(
                "number of channels opened ({open}) has reached the negotiated channel_max ({})",
                self.channel_max
            );
            return Err(Exception::connection(ReplyCode::NotAllowed, (0, 0), text));
        }
        if self.channels.contains_key(&number) {
            let text = "second 'channel.open' seen";
            return Err(Exception::connection(ReplyCode::ChannelError, (20, 10), text));
        }
        let counted = self.admission.open_channel(&broker.topology.read().topology);
        counted.map_err(|limit| {
            let text = format!(
                "number of channels opened for user '{}' has reached the maximum allowed user limit of {limit}",
                self.user
            );
            Exception::connection(ReplyCode::NotAllowed, (0, 0), text)
        })?;
        broker.counters.channels_opened.fetch_add(1, Ordering::Relaxed);
        let channel = Channel::default();
        let counts = channel.counts.clone();
        self.channels.insert(number, channel);
        let mut state = self.outlet.lock();
        state.open_channel(number, counts);
        Method::ChannelOpenOk(channel::OpenOk {}).write_frame(number, state.reply_buffer());
        Ok(None)
    }

    fn content(&mut self, broker: &Arc<Broker>, batch: &mut Batch, frame: &Frame<'_>) -> Outcome {
        if self.closing.is_some() {
            return Ok(None);
        }
        let Some(channel) = self.channels.get_mut(&frame.channel) else {
            let text = format!("content on channel {}, which is not open", frame.channel);
            return Err(Exception::connection(ReplyCode::UnexpectedFrame, (0, 0), text));
        };
        if channel.closing {
            return Ok(None);
        }
        let Some(incoming) = channel.incoming.as_mut() else {
            return Err(Exception::connection(
                ReplyCode::UnexpectedFrame,
                (0, 0),
                "expected a method frame, got content",
            ));
        };
        // As in RabbitMQ, `basic.publish` alone blocks nobody, and the message whose content meets an alarm is not taken in before it is over.
        // RabbitMQ takes one without a body, because its header is all of it; here it waits like the others.
        if self.raised.any() {
            return Ok(Some(Wait::Alarm));
        }
        if frame.kind == FrameKind::Header
            && self.paying.is_any()
            && let Some(until) = self.paying.wait()
        {
            return Ok(Some(Wait::Rate(until)));
        }
        let taken = match frame.kind {
            FrameKind::Header => incoming.take_header(frame.payload, broker.config.limits.message_size_max),
            _ => incoming.take_body(frame.payload),
        };
        let complete = incoming.is_complete();
        if let Err(exception) = taken {
            channel.incoming = None;
            return Err(exception);
        }
        if complete && let Some(mut incoming) = channel.incoming.take() {
            self.publish(broker, batch, incoming.message(frame.channel))?;
        }
        Ok(None)
    }

    /// Turns an exception into the method that announces it.
    fn conclude(&mut self, broker: &Arc<Broker>, batch: &mut Batch, number: u16, outcome: Outcome) -> Option<Wait> {
        match outcome {
            Ok(wait) => wait,
            Err(exception) => {
                self.except(broker, batch, number, &exception);
                None
            }
        }
    }

    /// Announces an exception, and closes what it closes.
    #[cold]
    fn except(&mut self, broker: &Arc<Broker>, batch: &mut Batch, number: u16, exception: &Exception) {
        if self.closing.is_some() {
            return;
        }
        batch.submit(broker, &self.outlet, &self.route);
        tracing::warn!(connection = %self.id, channel = number, code = exception.code.code(), "{}", exception.text);
        match exception.scope {
            Scope::Channel => {
                self.drop_channel(broker, batch, number);
                self.channels.insert(
                    number,
                    Channel {
                        closing: true,
                        ..Channel::default()
                    },
                );
            }
            Scope::Connection => {
                self.release(broker, batch);
                self.closing = Some(Closing::AwaitCloseOk);
            }
        }
        exception.write(number, self.outlet.lock().reply_buffer());
    }

    /// Closes the channels that have held a delivery for too long.
    pub(crate) fn time_out(&mut self, broker: &Arc<Broker>, batch: &mut Batch) {
        let overdue = self.outlet.lock().overdue(broker.timers.clock.now());
        for (number, timeout_ms) in overdue {
            let text = format!(
                "delivery acknowledgement on channel {number} timed out. Timeout value used: {timeout_ms} ms. This timeout value can be \
                 configured, see consumers doc guide to learn more"
            );
            self.conclude(
                broker,
                batch,
                number,
                Err(Exception::new(ReplyCode::PreconditionFailed, (0, 0), text)),
            );
        }
    }

    /// Takes a channel out of the world: its consumers end, what it had not acknowledged goes back.
    pub(crate) fn drop_channel(&mut self, broker: &Arc<Broker>, batch: &mut Batch, number: u16) {
        self.abandon_transaction(broker, number);
        if self.channels.remove(&number).is_some_and(|channel| !channel.closing) {
            self.admission.close_channel();
        }
        let consumers = self
            .outlet
            .lock()
            .channel(number)
            .map(|channel| std::mem::take(&mut channel.consumers))
            .unwrap_or_default();
        for consumer in consumers.into_values() {
            self.end_consumer(broker, consumer);
        }
        let Some(mut out) = self.outlet.lock().close_channel(number) else {
            return;
        };
        broker.counters.channels_closed.fetch_add(1, Ordering::Relaxed);
        for unacked in out.unacked.take_all() {
            batch.requeue(broker, &unacked, ReturnCause::Lost);
        }
        batch.submit(broker, &self.outlet, &self.route);
    }

    /// Lets go of all that the connection holds: consumers end, unacknowledged messages go back, exclusive queues are deleted. A client that
    /// learns of its connection's end may rely on that, as with RabbitMQ.
    pub(crate) fn release(&mut self, broker: &Arc<Broker>, batch: &mut Batch) {
        let numbers = self.outlet.lock().channel_numbers();
        for number in numbers {
            self.drop_channel(broker, batch, number);
        }
        broker.delete_exclusive_queues(self.id);
    }

    /// Appends a reply, after those which still wait for the disk.
    pub(crate) fn reply(&self, number: u16, method: &Method<'_>) {
        method.write_frame(number, self.outlet.lock().reply_buffer());
    }

    /// Appends a reply to a change of the topology: it goes out when the change is durable.
    pub(crate) fn reply_when_durable(&self, broker: &Broker, number: u16, method: &Method<'_>, durable: bool) {
        let mut state = self.outlet.lock();
        if !durable {
            return method.write_frame(number, state.reply_buffer());
        }
        let epoch = broker.commits.register_once(&self.outlet, &mut state);
        if epoch == Epoch::NEVER {
            let text = "the store has failed, nothing can be committed";
            state.close.get_or_insert_with(|| (ReplyCode::InternalError, text.to_owned()));
            self.outlet.wake.notify_one();
        }
        let mut reply = Vec::new();
        method.write_frame(number, &mut reply);
        state.hold(epoch, reply);
    }

    /// The queue that a method means: an empty name stands for the one that the channel declared last.
    pub(crate) fn queue_name(&self, number: u16, name: ShortStr<'_>, cause: (u16, u16)) -> Result<ShortString, Exception> {
        if !name.is_empty() {
            return Ok(name.into());
        }
        let last = self.channels.get(&number).and_then(|channel| channel.last_queue.clone());
        last.ok_or_else(|| Exception::new(ReplyCode::NotFound, cause, "no previously declared queue"))
    }
}

/// A method that only the server sends, or that belongs elsewhere.
pub(crate) fn misplaced(method: &Method<'_>) -> Exception {
    Exception::connection(
        ReplyCode::CommandInvalid,
        method.id(),
        format!("{} does not belong here", method.name()),
    )
}
