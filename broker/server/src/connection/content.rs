//! Content that comes in several frames: method, header, and as many body frames as it takes, with other channels' frames between them.

use stoa_amqp::basic;
use stoa_amqp::content::ContentHeader;
use stoa_amqp::{Method, ReplyCode};

use super::error::Exception;
use super::publish::{Body, Message};

/// A publish of which not everything has come.
#[derive(Debug)]
pub(crate) struct Incoming {
    envelope: Vec<u8>,
    exchange_size: usize,
    mandatory: bool,
    header: Option<Vec<u8>>,
    body: Vec<u8>,
    body_size: u64,
}

/// Room that is taken for a body on the word of its header alone.
const BODY_RESERVED_MAX: u64 = 1 << 20;

impl Incoming {
    pub(crate) fn new(publish: &basic::Publish<'_>) -> Self {
        let mut envelope = Vec::with_capacity(2 + publish.exchange.as_bytes().len() + publish.routing_key.as_bytes().len());
        for part in [publish.exchange, publish.routing_key] {
            envelope.push(part.as_bytes().len() as u8);
            envelope.extend_from_slice(part.as_bytes());
        }
        let exchange_size = publish.exchange.as_bytes().len();
        Self {
            envelope,
            exchange_size,
            mandatory: publish.mandatory,
            header: None,
            body: Vec::new(),
            body_size: 0,
        }
    }

    /// Takes the content header. `Err`: the frame is malformed, or it is not a header's turn.
    pub(crate) fn take_header(&mut self, payload: &[u8], message_size_max: u64) -> Result<(), Exception> {
        if self.header.is_some() {
            return Err(unexpected("expected a content body, got another content header"));
        }
        let header = ContentHeader::decode(payload)?;
        stoa_amqp::content::validate(header.properties)?;
        self.body_size = header.body_size;
        self.header = Some(payload.to_vec());
        if header.body_size > message_size_max {
            let text = format!(
                "message size {} is larger than configured max size {message_size_max}",
                header.body_size
            );
            return Err(Exception::new(ReplyCode::PreconditionFailed, (60, 40), text));
        }
        self.body.reserve_exact(header.body_size.min(BODY_RESERVED_MAX) as usize);
        Ok(())
    }

    /// Takes a body frame.
    pub(crate) fn take_body(&mut self, payload: &[u8]) -> Result<(), Exception> {
        if self.header.is_none() {
            return Err(unexpected("expected a content header, got a content body"));
        }
        let size = self.body.len() as u64 + payload.len() as u64;
        if size > self.body_size {
            let text = format!("the body is larger than the {} octets that its header announces", self.body_size);
            return Err(Exception::connection(ReplyCode::FrameError, (60, 40), text));
        }
        self.body.extend_from_slice(payload);
        Ok(())
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.header.is_some() && self.body.len() as u64 == self.body_size
    }

    /// The message, once it is complete. Its body is taken out of here.
    pub(crate) fn message(&mut self, channel: u16) -> Message<'_> {
        let body = Body::Own(std::mem::take(&mut self.body).into());
        let (exchange, routing_key) = self.envelope.split_at(1 + self.exchange_size);
        Message {
            channel,
            exchange: &exchange[1..],
            routing_key: &routing_key[1..],
            envelope: &self.envelope,
            mandatory: self.mandatory,
            header: self.header.as_deref().unwrap_or_default(),
            body,
        }
    }
}

fn unexpected(text: &str) -> Exception {
    Exception::connection(ReplyCode::UnexpectedFrame, (60, 40), text)
}

/// A method came where content was expected.
pub(crate) fn method_instead_of_content(method: &Method<'_>) -> Exception {
    unexpected(&format!("expected content, got {}", method.name()))
}
