//! The octets of the handshake: the protocol header, then frames on channel 0, each handed to [`Handshake`].

use stoa_amqp::{Method, frame};

use super::error::Exception;
use super::handshake::{self, Handshake, Step, Verdict};
use super::sasl::{self, Evidence};
use super::session::Open;
use super::{Connection, Identity, Stage};
use crate::transport::Seat;

impl Connection {
    /// Takes one step of the handshake; gives the octets it took. `None`: more are needed, or it is over.
    pub(super) fn shake_hands(&mut self, input: &[u8]) -> Option<usize> {
        let Stage::Handshake(stage) = &mut self.stage else { return None };
        let handshake = stage.take()?;
        if let Handshake::AwaitHeader = handshake {
            return self.take_header(input);
        }
        if let Handshake::AwaitVerdict(verdict) = handshake {
            return self.take_verdict(verdict);
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
                    outlet: &self.outlet,
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
                    mechanism: opened.client.mechanism.clone(),
                    channel_max: opened.tuned.channel_max,
                    frame_max: opened.tuned.frame_max,
                    heartbeat: opened.tuned.heartbeat,
                };
                self.heartbeat = opened.tuned.heartbeat;
                self.stage = Stage::Open(Box::new(Open::new(self.id, self.outlet.clone(), *opened)));
            }
            Err(exception) => return self.refuse(&exception),
        }
        Some(size)
    }

    /// The client's password was looked at, or is yet.
    fn take_verdict(&mut self, verdict: Verdict) -> Option<usize> {
        if !verdict.is_there() {
            self.stage = Stage::Handshake(Some(Handshake::AwaitVerdict(verdict)));
            return None;
        }
        let next = verdict.take(&self.broker, &self.presence.peer, self.outlet.lock().buffer());
        match next {
            Ok(next) => {
                self.stage = Stage::Handshake(Some(next));
                Some(0)
            }
            Err(exception) => self.refuse(&exception),
        }
    }

    /// Whether the handshake waits for something that does not come from the client.
    pub(super) fn awaits_verdict(&self) -> bool {
        matches!(&self.stage, Stage::Handshake(Some(Handshake::AwaitVerdict(_))))
    }

    /// Whether that has come, or is not waited for any more.
    pub(super) fn has_verdict(&self) -> bool {
        match &self.stage {
            Stage::Handshake(Some(Handshake::AwaitVerdict(verdict))) => verdict.is_there(),
            _ => true,
        }
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
        let known = [frame::PROTOCOL_HEADER, frame::PROTOCOL_HEADER_0_9];
        let so_far = &input[..input.len().min(8)];
        if !known.iter().any(|header| header.starts_with(so_far)) {
            self.outlet.lock().buffer().extend_from_slice(&frame::PROTOCOL_HEADER);
            return None;
        }
        if so_far.len() < 8 {
            self.stage = Stage::Handshake(Some(Handshake::AwaitHeader));
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
            self.refused = true;
        }
        None
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
