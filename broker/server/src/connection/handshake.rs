//! From the protocol header to `connection.open`: who is it, what do both sides take, which virtual host.
//!
//! Until the handshake is over, what goes wrong closes the socket without more ado, except where clients are known to expect a method:
//! a refused login (`authentication_failure_close`) and an unknown virtual host.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use stoa_amqp::connection;
use stoa_amqp::{Method, ReplyCode, ShortString, Table, Value};
use stoa_core::ids::ConnectionId;

use super::error::Exception;
use super::sasl::{self, Claimed, Evidence};
use crate::broker::Broker;
use crate::compat::Compat;
use crate::config::Limits;
use crate::tallies::Admission;
use crate::transport::Peer;

/// What a connection is waiting for before it is open.
#[derive(Debug)]
#[allow(clippy::enum_variant_names, reason = "states are named after what they await")]
pub(crate) enum Handshake {
    /// The eight octets of the protocol header.
    AwaitHeader,
    /// `connection.start-ok`.
    AwaitStartOk,
    /// What comes of a look at the client's password, which takes its time on another thread. Nothing is read meanwhile.
    AwaitVerdict(Verdict),
    /// `connection.tune-ok`.
    AwaitTuneOk(Client),
    /// `connection.open`.
    AwaitOpen(Client, Tuned),
}

/// Who connected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(crate) user: String,
    pub(crate) properties: Table,
    pub(crate) mechanism: String,
    pub(crate) cancel_notify: bool,
    /// It wants to be told when it is blocked.
    pub(crate) blocked_notify: bool,
    /// It wants to be told that its login is refused.
    refusal_notify: bool,
}

/// A client that waits for the answer to its password.
#[derive(Debug)]
pub(crate) struct Verdict {
    client: Client,
    is_right: Arc<OnceLock<bool>>,
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuned {
    pub(crate) channel_max: u16,
    pub(crate) frame_max: u32,
    /// Zero: none.
    pub(crate) heartbeat: Duration,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) client: Client,
    pub(crate) tuned: Tuned,
    pub(crate) vhost: String,
    /// It counts as one of its virtual host's and user's connections.
    pub(crate) admission: Admission,
}

/// What follows from a method of the handshake.
#[derive(Debug)]
pub(crate) enum Step {
    Next(Handshake),
    Open(Box<Opened>),
}

/// The smallest frame that both sides must take (AMQP 0-9-1, 4.2.3).
const FRAME_MIN_SIZE: u32 = 4096;

/// Appends `connection.start`.
pub(crate) fn write_start(compat: Compat, mechanisms: &str, out: &mut Vec<u8>) {
    let properties = server_properties(compat).encoded();
    let start = connection::Start {
        version_major: 0,
        version_minor: 9,
        server_properties: properties.raw(),
        mechanisms: mechanisms.as_bytes(),
        locales: b"en_US",
    };
    Method::ConnectionStart(start).write_frame(0, out);
}

/// What the broker says of itself; see [`Compat`] for its name.
fn server_properties(compat: Compat) -> Table {
    let text = |text: &str| Value::LongString(text.to_owned().into());
    let capabilities = [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ];
    let capabilities = capabilities
        .into_iter()
        .map(|name| (ShortString::from(name), Value::Bool(true)))
        .collect();
    [
        ("capabilities", Value::Table(capabilities)),
        ("cluster_name", text("stoa")),
        (
            "information",
            text(concat!(
                "Stoa ",
                env!("CARGO_PKG_VERSION"),
                ", licensed under the Apache License 2.0"
            )),
        ),
        ("platform", text("Rust")),
        ("product", text(compat.product())),
        ("version", text(compat.version())),
    ]
    .into_iter()
    .map(|(name, value)| (ShortString::from(name), value))
    .collect()
}

impl Handshake {
    /// Takes the next method and appends the answer.
    pub(crate) fn take(
        self,
        method: &Method<'_>,
        broker: &Arc<Broker>,
        evidence: Evidence<'_>,
        id: ConnectionId,
        out: &mut Vec<u8>,
    ) -> Result<Step, Exception> {
        match (self, method) {
            (Handshake::AwaitStartOk, Method::ConnectionStartOk(start_ok)) => authenticate(start_ok, broker, evidence, out).map(Step::Next),
            (Handshake::AwaitTuneOk(client), Method::ConnectionTuneOk(tune_ok)) => {
                let tuned = tuned(tune_ok, &broker.config.limits)?;
                Ok(Step::Next(Handshake::AwaitOpen(client, tuned)))
            }
            (Handshake::AwaitOpen(client, tuned), Method::ConnectionOpen(open)) => {
                let vhost = open.virtual_host.to_string();
                let cause = (10, 40);
                let refused = |text: String| Exception::connection(ReplyCode::NotAllowed, cause, text);
                let site = broker.topology.read();
                if !site.topology.has_vhost(&vhost) {
                    return Err(refused(format!("vhost {vhost} not found")));
                }
                let admitted = broker.tallies.admit(&site.topology, &vhost, &client.user);
                let admission = admitted.map_err(|error| refused(error.to_string()))?;
                if !site.topology.may_access_vhost(&client.user, &vhost) {
                    return Err(refused(format!("access to vhost '{vhost}' refused for user '{}'", client.user)));
                }
                Method::ConnectionOpenOk(connection::OpenOk {}).write_frame(0, out);
                tracing::debug!(connection = %id, user = %client.user, vhost, "open");
                Ok(Step::Open(Box::new(Opened {
                    client,
                    tuned,
                    vhost,
                    admission,
                })))
            }
            (_, method) => Err(Exception::connection(
                ReplyCode::CommandInvalid,
                method.id(),
                format!("{} does not belong here in the handshake", method.name()),
            )),
        }
    }
}

fn authenticate(
    start_ok: &connection::StartOk<'_>,
    broker: &Arc<Broker>,
    evidence: Evidence<'_>,
    out: &mut Vec<u8>,
) -> Result<Handshake, Exception> {
    let properties = start_ok.client_properties.to_table();
    let capability = |name: &str| match properties.get("capabilities") {
        Some(Value::Table(capabilities)) => matches!(capabilities.get(name), Some(Value::Bool(true))),
        _ => false,
    };
    let mut client = Client {
        user: String::new(),
        cancel_notify: capability("consumer_cancel_notify"),
        blocked_notify: capability("connection.blocked"),
        refusal_notify: capability("authentication_failure_close"),
        mechanism: start_ok.mechanism.to_string(),
        properties,
    };
    let claimed = sasl::claimed(broker, &client.mechanism, start_ok.response, evidence).map_err(|sasl::NotOffered| {
        let offered = sasl::mechanisms(&broker.config.sasl, evidence.certificate_user.is_some());
        let text = format!(
            "unsupported authentication mechanism '{}', expected one of {offered}",
            client.mechanism
        );
        Exception::connection(ReplyCode::CommandInvalid, (10, 11), text)
    })?;
    let peer = evidence.peer;
    match claimed {
        Claimed::Nobody => Err(client.refused(broker, peer, Some(false))),
        Claimed::User(user) => {
            client.user = user;
            Ok(client.accepted(broker, out))
        }
        Claimed::Password(user, password) => {
            client.user = user;
            if broker.is_login_blocked(peer.ip(), &client.user) {
                return Err(client.refused(broker, peer, None));
            }
            let local = peer.is_local();
            match broker.log_in_now(&client.user, &password, local) {
                Some(true) => Ok(client.accepted(broker, out)),
                Some(false) => Err(client.refused(broker, peer, Some(true))),
                None => {
                    let is_right = broker.log_in_for(evidence.outlet, client.user.clone(), password, local);
                    Ok(Handshake::AwaitVerdict(Verdict { client, is_right }))
                }
            }
        }
    }
}

impl Verdict {
    /// Whether it has been reached.
    pub(crate) fn is_there(&self) -> bool {
        self.is_right.get().is_some()
    }

    /// Goes on with it.
    pub(crate) fn take(self, broker: &Broker, peer: &Peer, out: &mut Vec<u8>) -> Result<Handshake, Exception> {
        if self.is_right.get() == Some(&true) {
            Ok(self.client.accepted(broker, out))
        } else {
            Err(self.client.refused(broker, peer, Some(true)))
        }
    }
}

impl Client {
    /// It is who it says it is.
    fn accepted(self, broker: &Broker, out: &mut Vec<u8>) -> Handshake {
        broker.logins.note(true);
        let limits = &broker.config.limits;
        let heartbeat = limits.heartbeat.as_secs().min(u64::from(u16::MAX)) as u16;
        let tune = connection::Tune {
            channel_max: limits.channel_max,
            frame_max: limits.frame_max,
            heartbeat,
        };
        Method::ConnectionTune(tune).write_frame(0, out);
        Handshake::AwaitTuneOk(self)
    }

    /// It is not. `counts`: as a failure of this user, for whom it was a wrong password; `None`: there were too many of them, and the password was not
    /// looked at.
    fn refused(&self, broker: &Broker, peer: &Peer, counts: Option<bool>) -> Exception {
        broker.logins.note(false);
        let (mechanism, user) = (&self.mechanism, &self.user);
        match counts {
            Some(counts) => {
                tracing::warn!(%peer, mechanism, user, "login refused");
                if counts {
                    broker.note_failed_login(peer.ip(), user);
                }
            }
            None => tracing::warn!(%peer, mechanism, user, "login refused: too many have failed"),
        }
        let text = format!("Login was refused using authentication mechanism {mechanism}. For details see the broker logfile.");
        let mut refused = Exception::connection(ReplyCode::AccessRefused, (0, 0), text);
        if !self.refusal_notify {
            // Such a client takes a closed socket for a refused login.
            refused.code = ReplyCode::InternalError;
        }
        refused
    }
}

/// Zero means "no limit of mine": the broker's own holds.
fn tuned(ok: &connection::TuneOk, limits: &Limits) -> Result<Tuned, Exception> {
    let refused = |what: &str, value: u32, limit: u32| {
        let text = format!("negotiated {what} = {value} is higher than the maximum allowed value ({limit})");
        Exception::connection(ReplyCode::NotAllowed, (10, 31), text)
    };
    if ok.frame_max > limits.frame_max {
        return Err(refused("frame_max", ok.frame_max, limits.frame_max));
    }
    if ok.frame_max != 0 && ok.frame_max < FRAME_MIN_SIZE {
        let text = format!(
            "negotiated frame_max = {} is lower than the minimum allowed value ({FRAME_MIN_SIZE})",
            ok.frame_max
        );
        return Err(Exception::connection(ReplyCode::NotAllowed, (10, 31), text));
    }
    if ok.channel_max > limits.channel_max {
        return Err(refused("channel_max", ok.channel_max.into(), limits.channel_max.into()));
    }
    Ok(Tuned {
        channel_max: if ok.channel_max == 0 { limits.channel_max } else { ok.channel_max },
        frame_max: if ok.frame_max == 0 { limits.frame_max } else { ok.frame_max },
        heartbeat: Duration::from_secs(ok.heartbeat.into()),
    })
}

/// Whether the client is told why: RabbitMQ closes the socket in silence but for a refused login and what is wrong with `connection.open`.
pub(crate) fn is_spoken(exception: &Exception) -> bool {
    matches!(
        (exception.code, exception.cause),
        (ReplyCode::AccessRefused, _) | (ReplyCode::NotAllowed, (10, 40))
    )
}
