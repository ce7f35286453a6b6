//! A connection's task: it reads, lets the session take what it read, writes what others could not, and keeps the heartbeat.
//!
//! Reading and taking happen in one poll, with the thread's own buffer: an idle connection holds none.

mod consume;
mod content;
mod declare;
mod error;
mod handshake;
mod properties;
mod publish;
mod records;
mod sasl;
mod session;
mod tx;

use std::cell::RefCell;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use stoa_amqp::{Method, Table, frame};
use stoa_core::ids::ConnectionId;
use tokio::io::ReadBuf;
use tokio::time::{Instant, Sleep};

use self::error::Exception;
use self::handshake::{Handshake, Step};
use self::publish::Batch;
use self::sasl::Evidence;
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
    /// When it was accepted.
    pub connected_at: SystemTime,
    /// Set once the handshake of TLS is over.
    pub(crate) tls: OnceLock<TlsSummary>,
    /// It publishes, and is held back by an alarm.
    pub(crate) blocked: AtomicBool,
    pub(crate) identity: Mutex<Identity>,
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
}

/// What the connection's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Armed {
    Handshake,
    Heartbeat,
    Close,
}

enum Stage {
    Handshake(Option<Handshake>),
    Open(Box<Open>),
}

/// Per thread: what is read into, and what becomes of it.
struct Scratch {
    input: Vec<u8>,
    /// What TLS has to decrypt first; empty on threads that have never had such a connection.
    cipher: Vec<u8>,
    batch: Batch,
}

/// Octets read at a time.
const READ_SIZE: usize = 256 << 10;

/// After a read of this size the thread's other connections have their turn.
const MUCH: usize = READ_SIZE / 4;

/// Octets of TLS read at a time. What they hold, and what an incomplete record before them held back, fits into half of [`READ_SIZE`].
const CIPHER_SIZE: usize = READ_SIZE / 4;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch { input: vec![0; READ_SIZE], cipher: Vec::new(), batch: Batch::default() });
}

/// How long a client has to answer `connection.close` before the socket is closed all the same.
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
        connected_at: SystemTime::now(),
        tls: OnceLock::new(),
        blocked: AtomicBool::new(false),
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
    };
    let end = connection.serve().await;
    tracing::debug!(connection = %id, %peer, "closed: {end}");
    connection.clean_up();
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
                self.linger().await;
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
                    Ok(None) => return "by the client",
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

    /// One read, and everything that follows from it. `None`: the client has closed.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<Option<Option<Wait>>>> {
        SCRATCH.with_borrow_mut(|Scratch { input, cipher, batch }| {
            let carried = self.carry.len();
            if input.len() < carried + READ_SIZE / 2 {
                input.resize(carried + READ_SIZE, 0);
            }
            input[..carried].copy_from_slice(&self.carry);
            let room = &mut input[carried..];
            let n = if self.secured {
                match ready!(self.poll_read_tls(cx, cipher, room))? {
                    // The session was busy with itself, and may have something to say.
                    Some(0) => return Poll::Ready(Ok(Some(None))),
                    Some(n) => n,
                    None => 0,
                }
            } else {
                ready!(self.poll_read_socket(cx, room))?
            };
            if n == 0 {
                return Poll::Ready(Ok(None));
            }
            self.heard = true;
            self.read_much = n >= MUCH;
            let (taken, wait) = self.take(batch, carried + n, input);
            self.carry.clear();
            if taken < carried + n {
                self.carry.extend_from_slice(&input[taken..carried + n]);
            } else if self.carry.capacity() > 0 {
                self.carry = Vec::new();
            }
            if input.len() > 2 * READ_SIZE {
                input.truncate(READ_SIZE);
                input.shrink_to_fit();
            }
            Poll::Ready(Ok(Some(wait)))
        })
    }

    /// Octets as they are on the wire; none: the client has closed.
    fn poll_read_socket(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<std::io::Result<usize>> {
        if !self.preread.is_empty() {
            let n = self.preread.len().min(room.len());
            room[..n].copy_from_slice(&self.preread[..n]);
            self.preread.drain(..n);
            return Poll::Ready(Ok(n));
        }
        let mut buffer = ReadBuf::new(room);
        ready!(self.source.poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Octets out of TLS. `None`: the client has closed.
    fn poll_read_tls(&mut self, cx: &mut Context<'_>, cipher: &mut Vec<u8>, room: &mut [u8]) -> Poll<std::io::Result<Option<usize>>> {
        if self.tls_closed {
            return Poll::Ready(Ok(None));
        }
        cipher.resize(CIPHER_SIZE, 0);
        let n = ready!(self.poll_read_socket(cx, cipher))?;
        if n == 0 {
            return Poll::Ready(Ok(None));
        }
        self.heard = true;
        let mut state = self.outlet.lock();
        let Some(session) = &mut state.tls else {
            return Poll::Ready(Ok(None));
        };
        match session.take(&cipher[..n], room) {
            Ok((0, true)) => Poll::Ready(Ok(None)),
            Ok((filled, closed)) => {
                self.tls_closed = closed;
                Poll::Ready(Ok(Some(filled)))
            }
            Err(error) => {
                tracing::warn!(peer = %self.presence.peer, "TLS: {error}");
                Poll::Ready(Err(ErrorKind::InvalidData.into()))
            }
        }
    }

    /// Goes on with what was read before a wait.
    fn take_carried(&mut self) -> Option<Wait> {
        SCRATCH.with_borrow_mut(|Scratch { batch, .. }| {
            let carry = std::mem::take(&mut self.carry);
            let (taken, wait) = self.take(batch, carry.len(), &carry);
            self.carry = carry[taken..].to_vec();
            wait
        })
    }

    fn take(&mut self, batch: &mut Batch, size: usize, input: &[u8]) -> (usize, Option<Wait>) {
        let mut taken = 0;
        loop {
            let rest = &input[taken..size];
            match &mut self.stage {
                Stage::Open(open) => {
                    let (more, wait) = open.take(&self.broker, batch, rest);
                    if wait == Some(Wait::Alarm) {
                        self.presence.blocked.store(true, Ordering::Relaxed);
                    }
                    self.flush();
                    return (taken + more, wait);
                }
                Stage::Handshake(_) => match self.shake_hands(rest) {
                    Some(n) => taken += n,
                    None => return (taken, None),
                },
            }
        }
    }

    /// Takes one step of the handshake; gives the octets it took. `None`: more are needed, or it is over.
    fn shake_hands(&mut self, input: &[u8]) -> Option<usize> {
        let Stage::Handshake(stage) = &mut self.stage else { return None };
        let handshake = stage.take()?;
        if let Handshake::AwaitHeader = handshake {
            return self.take_header(input);
        }
        // what both sides take without having agreed on it, as in RabbitMQ
        let (frame, size) = match frame::next_frame(input, frame::SIZE_MIN) {
            Ok(Some(found)) => found,
            Ok(None) => {
                *stage = Some(handshake);
                return None;
            }
            Err(error) => return self.refuse(&error.into()),
        };
        let outcome = match frame.kind {
            frame::FrameKind::Method if frame.channel == 0 => Method::decode(frame.payload).map_err(Exception::from).and_then(|method| {
                check_room(&method, &mut self.seat, self.broker.config.limits.connections_max)?;
                let evidence = Evidence {
                    peer: &self.presence.peer,
                    certificate_user: self.certificate_user.as_deref(),
                };
                let mut state = self.outlet.lock();
                handshake.take(&method, &self.broker, evidence, self.id, state.buffer())
            }),
            frame::FrameKind::Heartbeat => Ok(Step::Next(handshake)),
            _ => Err(Exception::connection(
                stoa_amqp::ReplyCode::CommandInvalid,
                (0, 0),
                "only methods on channel 0 belong in the handshake",
            )),
        };
        match outcome {
            Ok(Step::Next(next)) => *stage = Some(next),
            Ok(Step::Open(opened)) => {
                self.outlet.lock().open(opened.tuned.frame_max, opened.client.cancel_notify);
                *self.presence.identity.lock() = Identity {
                    user: opened.client.user.clone(),
                    vhost: opened.vhost.clone(),
                    properties: opened.client.properties.clone(),
                };
                self.heartbeat = opened.tuned.heartbeat;
                self.stage = Stage::Open(Box::new(Open::new(self.id, self.outlet.clone(), *opened)));
            }
            Err(exception) => return self.refuse(&exception),
        }
        Some(size)
    }

    /// Who the client is by its certificate. It has sent its first octets, so the handshake of TLS is over.
    fn look_at_certificate(&mut self) {
        let state = self.outlet.lock();
        let Some(session) = &state.tls else { return };
        debug_assert!(!session.is_handshaking(), "nothing comes out of TLS before its handshake is over");
        self.certificate_user = session.user(self.broker.config.sasl.external_user);
        self.presence.tls.get_or_init(|| session.summary());
    }

    fn take_header(&mut self, input: &[u8]) -> Option<usize> {
        let expected = frame::PROTOCOL_HEADER;
        let Some(header) = input.first_chunk::<8>() else {
            let possible = expected.starts_with(input);
            if possible {
                self.stage = Stage::Handshake(Some(Handshake::AwaitHeader));
            } else {
                self.outlet.lock().buffer().extend_from_slice(&expected);
            }
            return None;
        };
        if *header != expected {
            self.outlet.lock().buffer().extend_from_slice(&expected);
            return None;
        }
        if self.secured {
            self.look_at_certificate();
        }
        let mechanisms = sasl::mechanisms(&self.broker.config.sasl, self.certificate_user.is_some());
        handshake::write_start(self.broker.config.compat, &mechanisms, self.outlet.lock().buffer());
        self.stage = Stage::Handshake(Some(Handshake::AwaitStartOk));
        Some(8)
    }

    /// The handshake failed: says why where the client expects it, and ends. The stage stays empty, which is its end.
    fn refuse(&mut self, exception: &Exception) -> Option<usize> {
        tracing::warn!(peer = %self.presence.peer, code = exception.code.code(), "handshake: {}", exception.text);
        if handshake::is_spoken(exception) {
            exception.write(0, self.outlet.lock().buffer());
        }
        None
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
            Wait::Alarm => {
                let is_closing = matches!(&self.stage, Stage::Open(open) if open.closing.is_some());
                is_closing || !self.broker.alarms.raised().any()
            }
            Wait::Commit => !self.outlet.lock().is_holding(),
            Wait::Load(shard, seen) => self.broker.shards[*shard].progress() != *seen,
            Wait::Pressure(shard, seen) => {
                let cell = &self.broker.shards[*shard];
                *seen = cell.progress();
                !cell.is_pressed()
            }
        }
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
            Stage::Open(open) if open.closing.is_some() => Armed::Close,
            Stage::Open(_) => Armed::Heartbeat,
        };
        if wanted != self.armed {
            self.armed = wanted;
            let wait = if wanted == Armed::Close {
                CLOSE_TIMEOUT
            } else {
                self.tick_interval()
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
            return false;
        }
        let mut state = self.outlet.lock();
        if state.octets_sent == self.octets_sent && state.pending() == 0 {
            frame::write_heartbeat(state.buffer());
        }
        self.octets_sent = state.octets_sent;
        true
    }

    /// Somebody else wants the connection closed: an administrator, a failed store, the end of the broker.
    fn close_if_asked(&mut self) {
        let Some((code, text)) = self.outlet.lock().close.take() else {
            return;
        };
        match &mut self.stage {
            Stage::Open(open) if open.closing.is_none() => {
                open.closing = Some(Closing::AwaitCloseOk);
                Exception::connection(code, (0, 0), text).write(0, self.outlet.lock().buffer());
            }
            Stage::Open(_) => {}
            Stage::Handshake(stage) => *stage = None,
        }
    }

    /// Lets the client read the last words: closing a socket with unread input would take them back.
    async fn linger(&mut self) {
        let flushed = self.outlet.flush(&mut self.outlet.lock());
        if flushed != Flush::Done || self.outlet.shut_down().is_err() {
            return;
        }
        let drain = async {
            let mut rest = [0; 1024];
            for _ in 0..LINGER_READS_MAX {
                match self.source.read(&mut rest).await {
                    Ok(n) if n > 0 => {}
                    _ => return,
                }
            }
        };
        drop(tokio::time::timeout(LINGER, drain).await);
    }

    /// Nothing of the connection stays: consumers end, unacknowledged messages go back, exclusive queues are deleted.
    fn clean_up(&mut self) {
        let broker = self.broker.clone();
        if let Stage::Open(open) = &mut self.stage {
            SCRATCH.with_borrow_mut(|Scratch { batch, .. }| {
                let numbers = self.outlet.lock().channel_numbers();
                for number in numbers {
                    open.drop_channel(&broker, batch, number);
                }
            });
            broker.forget_outlet(self.id);
            broker.delete_exclusive_queues(self.id);
        }
        self.outlet.lock().die();
        broker.connections.lock().remove(&self.id);
        broker.counters.connections_closed.fetch_add(1, Ordering::Relaxed);
    }
}

/// `connection.open` is refused when there are as many connections as may be. The words are RabbitMQ's (`connection_max`).
fn check_room(method: &Method<'_>, seat: &mut Seat, connections_max: usize) -> Result<(), Exception> {
    if matches!(method, Method::ConnectionOpen(_)) && !seat.open(connections_max) {
        let text = format!("connection refused: node connection limit ({connections_max}) is reached");
        return Err(Exception::connection(stoa_amqp::ReplyCode::NotAllowed, method.id(), text));
    }
    Ok(())
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
        Some(Wait::Commit | Wait::Alarm) | None => std::future::pending().await,
    }
}
