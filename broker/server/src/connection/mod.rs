//! A connection's task: it reads, lets the session take what it read, writes what others could not, and keeps the heartbeat.
//!
//! Reading and taking happen in one poll, with the thread's own buffer: an idle connection holds none.

mod arguments;
mod consume;
mod content;
mod declare;
mod error;
mod greeting;
mod handshake;
mod input;
mod interceptors;
mod properties;
mod publish;
mod qos;
mod records;
mod route;
mod sasl;
mod session;
mod single;
mod space;
mod tx;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use stoa_amqp::{Table, frame};
use stoa_core::ids::ConnectionId;
use tokio::time::{Instant, Sleep};

pub use self::single::{NewMessage, TakenMessage, Taking};

use self::error::Exception;
use self::handshake::Handshake;
use self::input::{SCRATCH, Scratch};
use self::session::{Closing, Open, Wait};
use crate::broker::Broker;
use crate::outlet::{Flush, Outlet};
use crate::transport::{self, Arrival, Peer, Seat, Session, Source, TlsSummary};

/// What others can see of a connection.
#[derive(Debug)]
pub struct Presence {
    pub(crate) outlet: Arc<Outlet>,
    /// The client's address.
    pub peer: Peer,
    /// The broker's own address; none over a Unix socket.
    pub local: Option<SocketAddr>,
    /// Octets that came over it.
    pub(crate) received: AtomicU64,
    /// When it was accepted.
    pub connected_at: SystemTime,
    /// Set once the handshake of TLS is over.
    pub(crate) tls: OnceLock<TlsSummary>,
    /// It publishes, and is held back by an alarm.
    pub(crate) blocked: AtomicBool,
    /// When a rate, or what its messages wait for, held it back last, in milliseconds by the broker's clock; 0: never.
    throttled_at: AtomicU64,
    pub(crate) identity: Mutex<Identity>,
}

/// For so long a connection that was held back, by a rate or because the disk does not keep up, is shown to be in flow control (RabbitMQ's management does so).
const FLOW_MS: u64 = 5000;

impl Presence {
    fn throttle(&self, broker: &Broker) {
        self.throttled_at.store(broker.timers.clock.now().0, Ordering::Relaxed);
    }

    /// Whether it has been held back lately.
    pub(crate) fn is_in_flow(&self, broker: &Broker) -> bool {
        self.throttled_at.load(Ordering::Relaxed) + FLOW_MS > broker.timers.clock.now().0
    }
}

/// What a client said of itself.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The user it logged in as; empty before that.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// Its `client-properties`.
    pub properties: Table,
    /// The SASL mechanism by which it logged in.
    pub mechanism: String,
    /// Channels that it may have.
    pub channel_max: u16,
    /// The largest frame, in octets.
    pub frame_max: u32,
    /// The heartbeat; zero: none.
    pub heartbeat: Duration,
}

struct Connection {
    broker: Arc<Broker>,
    presence: Arc<Presence>,
    outlet: Arc<Outlet>,
    id: ConnectionId,
    source: Source,
    /// What was read behind a PROXY header: it comes before what the socket has.
    preread: Vec<u8>,
    /// TLS stands between the socket and what is taken, and whether the client has closed it.
    secured: bool,
    tls_closed: bool,
    /// The user that the client's certificate names.
    certificate_user: Option<String>,
    seat: Seat,
    /// When the handshake must be over.
    deadline: Instant,
    /// Octets that have been read and not been taken: an incomplete frame, or what waits.
    carry: Vec<u8>,
    stage: Stage,
    heartbeat: Duration,
    armed: Armed,
    /// The last read was a large one: more is likely to be there.
    read_much: bool,
    /// Nothing is read for now.
    resting: bool,
    /// Something came since the timer last fired, and the silences before that.
    heard: bool,
    silences: u8,
    octets_sent: u64,
    /// The handshake failed, and the client was told why by `connection.close`.
    refused: bool,
    /// It ended in good order, and everything that was to be said has been written.
    parts: bool,
}

/// What the connection's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Armed {
    Handshake,
    Heartbeat,
    /// The client has to answer our `close`.
    Close,
    /// The client has our `close-ok`, and closes the socket: clients may take it for a failure if they find it closed together with the answer (RabbitMQ
    /// waits 30 s).
    Farewell,
}

enum Stage {
    Handshake(Option<Handshake>),
    Open(Box<Open>),
}

/// How long a client has to answer `connection.close`, or to close the socket after its own, before that is closed all the same.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves a connection to its end.
pub(crate) async fn run(broker: Arc<Broker>, arrival: Arrival) {
    let deadline = Instant::now() + broker.config.limits.handshake;
    let Arrival {
        socket,
        mut peer,
        tls,
        proxied,
        seat,
    } = arrival;
    let local = socket.local_address();
    let Ok((mut source, sink)) = socket.split() else { return };
    let mut preread = Vec::new();
    if proxied {
        match tokio::time::timeout_at(deadline, transport::receive_proxy_header(&mut source)).await {
            Ok(Ok((client, behind))) => {
                peer = client.unwrap_or(peer);
                preread = behind;
            }
            Ok(Err(error)) => return tracing::warn!(proxy = %peer, "closed: {error}"),
            Err(_) => return tracing::warn!(proxy = %peer, "closed: no header of the PROXY protocol came in time"),
        }
    }
    let session = match tls.map(|certificates| Session::new(certificates.current())).transpose() {
        Ok(session) => session.map(Box::new),
        Err(error) => return tracing::error!(%peer, %error, "TLS cannot be spoken"),
    };
    let secured = session.is_some();
    let id = broker.next_connection_id();
    let outlet = Arc::new(Outlet::new(id, sink, session));
    let presence = Arc::new(Presence {
        outlet: outlet.clone(),
        peer,
        local,
        received: AtomicU64::new(0),
        connected_at: SystemTime::now(),
        tls: OnceLock::new(),
        blocked: AtomicBool::new(false),
        throttled_at: AtomicU64::new(0),
        identity: Mutex::new(Identity::default()),
    });
    broker.connections.lock().insert(id, presence.clone());
    if broker.stopping.load(Ordering::SeqCst) {
        broker.connections.lock().remove(&id);
        return;
    }
    broker.counters.connections_opened.fetch_add(1, Ordering::Relaxed);
    let mut connection = Connection {
        broker,
        presence,
        outlet,
        id,
        source,
        preread,
        secured,
        tls_closed: false,
        certificate_user: None,
        seat,
        deadline,
        carry: Vec::new(),
        stage: Stage::Handshake(Some(Handshake::AwaitHeader)),
        heartbeat: Duration::ZERO,
        armed: Armed::Handshake,
        read_much: false,
        resting: false,
        heard: false,
        silences: 0,
        octets_sent: 0,
        refused: false,
        parts: false,
    };
    let end = connection.serve().await;
    tracing::debug!(connection = %id, %peer, "closed: {end}");
    connection.clean_up();
    if connection.parts {
        connection.part().await;
    }
}

impl Connection {
    /// Gives why it ended.
    async fn serve(&mut self) -> &'static str {
        let outlet = self.outlet.clone();
        let broker = self.broker.clone();
        let timer = tokio::time::sleep_until(self.deadline);
        tokio::pin!(timer);
        let mut wait = None;
        loop {
            if self.is_done() {
                self.parts = outlet.flush(&mut outlet.lock()) == Flush::Done;
                return "in good order";
            }
            let blocked = match self.flush() {
                Flush::Dead => return "the socket failed",
                Flush::Blocked => true,
                Flush::Done => false,
            };
            if wait.as_mut().is_some_and(|reason| self.has_come(reason)) {
                if wait == Some(Wait::Alarm) {
                    self.unblock();
                }
                wait = self.take_carried();
                continue;
            }
            let reading = wait.is_none() && !self.outbox_is_full();
            self.resting = !reading;
            tokio::select! {
                biased;
                read = std::future::poll_fn(|cx| self.poll_read(cx)), if reading => match read {
                    Ok(Some(stop)) => {
                        wait = stop;
                        if std::mem::take(&mut self.read_much) {
                            // A flood must not keep the thread's other connections waiting.
                            tokio::task::yield_now().await;
                        }
                    }
                    Ok(None) => {
                        // TLS wants its end answered.
                        self.parts = self.armed == Armed::Farewell;
                        return "by the client";
                    }
                    Err(error) => {
                        // The client may want to know what was wrong with its TLS.
                        outlet.flush(&mut outlet.lock());
                        return if error.kind() == ErrorKind::InvalidData { "TLS failed" } else { "the socket failed" };
                    }
                },
                () = outlet.wake.notified() => {}
                ready = outlet.writable(), if blocked => if ready.is_err() { return "the socket failed" },
                () = progress(&broker, wait) => {}
                () = timer.as_mut() => if !self.tick(timer.as_mut()) { return "silence" },
            }
            self.close_if_asked();
            self.arm(timer.as_mut());
        }
    }

    fn is_done(&self) -> bool {
        match &self.stage {
            Stage::Handshake(stage) => stage.is_none(),
            Stage::Open(open) => open.closing == Some(Closing::Done),
        }
    }

    /// Writes what waits, and lets the shards go on that waited for it.
    fn flush(&mut self) -> Flush {
        let mut state = self.outlet.lock();
        let outcome = self.outlet.flush(&mut state);
        if outcome == Flush::Done && !state.stalled.is_empty() {
            let stalled = std::mem::take(&mut state.stalled);
            drop(state);
            for shard in stalled {
                self.broker.resume(shard, self.id);
            }
        }
        outcome
    }

    fn outbox_is_full(&self) -> bool {
        self.outlet.lock().pending() > self.broker.config.limits.outbox_bytes_max
    }

    /// Whether what the connection waits for has come about; otherwise, from where on to wait.
    fn has_come(&self, wait: &mut Wait) -> bool {
        match wait {
            Wait::Login => self.has_verdict(),
            Wait::Alarm => self.is_closing() || !self.broker.alarms.raised().any(),
            Wait::Rate(until) => self.is_closing() || *until <= Instant::now(),
            Wait::Commit => !self.outlet.lock().is_holding(),
            Wait::Load(shard, seen) => self.broker.shards[*shard].progress() != *seen,
            Wait::Pressure(shard, seen) => {
                let cell = &self.broker.shards[*shard];
                *seen = cell.progress();
                let pressed = cell.is_pressed();
                if pressed {
                    self.presence.throttle(&self.broker);
                }
                !pressed
            }
        }
    }

    fn is_closing(&self) -> bool {
        matches!(&self.stage, Stage::Open(open) if open.closing.is_some())
    }

    /// The alarm is over, or the connection is.
    fn unblock(&mut self) {
        self.presence.blocked.store(false, Ordering::Relaxed);
        if let Stage::Open(open) = &mut self.stage {
            open.tell_unblocked();
        }
    }

    /// Sets the timer when the connection comes into another stage: it limits the handshake and the farewell, and between them keeps the
    /// heartbeat, firing twice per interval.
    fn arm(&mut self, timer: Pin<&mut Sleep>) {
        let wanted = match &self.stage {
            Stage::Handshake(_) => Armed::Handshake,
            Stage::Open(open) if open.closing == Some(Closing::Answered) => Armed::Farewell,
            Stage::Open(open) if open.closing.is_some() => Armed::Close,
            Stage::Open(_) => Armed::Heartbeat,
        };
        if wanted != self.armed {
            self.armed = wanted;
            if wanted == Armed::Heartbeat {
                // What has been said by now does not stand for the first heartbeat: there are clients that wait for no longer than an interval.
                let state = self.outlet.lock();
                self.octets_sent = state.octets_sent + state.pending() as u64;
            }
            let wait = match wanted {
                Armed::Close | Armed::Farewell => CLOSE_TIMEOUT,
                Armed::Handshake | Armed::Heartbeat => self.tick_interval(),
            };
            timer.reset(Instant::now() + wait);
        }
    }

    fn tick_interval(&self) -> Duration {
        // Without heartbeats the timer has nothing to do.
        if self.heartbeat.is_zero() {
            Duration::from_secs(86_400)
        } else {
            self.heartbeat / 2
        }
    }

    /// The timer has fired. False: the connection has come to its end.
    fn tick(&mut self, timer: Pin<&mut Sleep>) -> bool {
        if self.armed != Armed::Heartbeat {
            self.parts = self.armed == Armed::Farewell;
            return false;
        }
        timer.reset(Instant::now() + self.tick_interval());
        if self.heartbeat.is_zero() {
            return true;
        }
        // While its input rests, the broker cannot tell whether the client is silent.
        self.silences = if std::mem::take(&mut self.heard) || self.resting {
            0
        } else {
            self.silences + 1
        };
        if self.silences > SILENCES_MAX {
            tracing::warn!(connection = %self.id, peer = %self.presence.peer, "missed heartbeats, timeout: {:?}", self.heartbeat);
            // There is nobody to take leave of. A client that is only late is to fail at its next write, as with RabbitMQ.
            self.outlet.reset_at_close();
            return false;
        }
        let mut state = self.outlet.lock();
        if state.octets_sent == self.octets_sent && state.pending() == 0 {
            frame::write_heartbeat(state.buffer());
        }
        // A heartbeat does not make the next one unnecessary: two an interval, as RabbitMQ.
        self.octets_sent = state.octets_sent + state.pending() as u64;
        true
    }

    /// Somebody else wants the connection closed: an administrator, a failed store, the end of the broker.
    fn close_if_asked(&mut self) {
        if self.outlet.overdue.load(Ordering::Relaxed) && self.outlet.overdue.swap(false, Ordering::Relaxed) {
            self.time_out();
        }
        let Some((code, text)) = self.outlet.lock().close.take() else {
            if let Stage::Open(open) = &mut self.stage
                && open.is_failed(&self.broker)
            {
                self.presence.blocked.store(true, Ordering::Relaxed);
            }
            return;
        };
        match &mut self.stage {
            Stage::Open(open) if open.closing.is_none() => {
                SCRATCH.with_borrow_mut(|Scratch { batch, .. }| open.release(&self.broker, batch));
                open.closing = Some(Closing::AwaitCloseOk);
                Exception::connection(code, (0, 0), text).write(0, self.outlet.lock().buffer());
            }
            Stage::Open(_) => {}
            Stage::Handshake(stage) => *stage = None,
        }
    }

    fn time_out(&mut self) {
        if let Stage::Open(open) = &mut self.stage {
            SCRATCH.with_borrow_mut(|Scratch { batch, .. }| open.time_out(&self.broker, batch));
        }
    }

    /// Lets the client read the last words: closing a socket with unread input would take them back.
    async fn part(&mut self) {
        // Once a client answers why it is refused, it has read that (RabbitMQ waits 3 s whatever it does).
        if self.refused && self.drain(1).await {
            return;
        }
        if self.outlet.shut_down().is_ok() {
            self.drain(LINGER_READS_MAX).await;
        }
    }

    /// Reads what the client may still send, and forgets it; true when it has closed the socket.
    async fn drain(&mut self, reads_max: usize) -> bool {
        let drain = async {
            let mut rest = [0; 1024];
            for _ in 0..reads_max {
                if !matches!(self.source.read(&mut rest).await, Ok(n) if n > 0) {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(LINGER, drain).await.unwrap_or(false)
    }

    /// Nothing of the connection stays.
    fn clean_up(&mut self) {
        let broker = self.broker.clone();
        if let Stage::Open(open) = &mut self.stage {
            SCRATCH.with_borrow_mut(|Scratch { batch, .. }| open.release(&broker, batch));
            broker.forget_outlet(self.id);
        }
        let sent = {
            let mut state = self.outlet.lock();
            state.die();
            state.octets_sent
        };
        let counters = &broker.counters;
        counters.received.close(self.presence.received.load(Ordering::Relaxed));
        counters.sent.close(sent);
        broker.connections.lock().remove(&self.id);
        broker.counters.connections_closed.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long, and for how many reads, a closed connection is read to its end.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_READS_MAX: usize = 1024;

/// Half intervals of silence after which the peer is taken for dead: two missed heartbeats.
const SILENCES_MAX: u8 = 4;

/// Waits for the next sign of progress at whatever a connection waits for.
async fn progress(broker: &Broker, wait: Option<Wait>) {
    match wait {
        Some(Wait::Load(shard, seen) | Wait::Pressure(shard, seen)) => broker.shards[shard].progress_since(seen).await,
        // Whoever ends these wakes the connection's task.
        Some(Wait::Rate(until)) => tokio::time::sleep_until(until).await,
        Some(Wait::Login | Wait::Commit | Wait::Alarm) | None => std::future::pending().await,
    }
}
