//! Knows when a connection is gone, so that nothing waits for it any longer.
//!
//! lapin answers most of what is under way when its connection breaks, but not all: an acknowledgement that meets the break half-way waits
//! for ever. So whatever is waited for is waited for together with the connection's end.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_util::future::{Either, Shared, select};
use futures_util::{FutureExt, StreamExt};
use lapin::Event;

use crate::error::Error;

/// The end of a connection, to be waited for by any number of operations.
#[derive(Clone)]
pub(crate) struct Lifeline(Shared<Pin<Box<dyn Future<Output = Error> + Send>>>);

impl Lifeline {
    pub(crate) fn of(connection: &lapin::Connection) -> Self {
        let mut events = Box::pin(connection.events_listener());
        let end = async move {
            while let Some(event) = events.next().await {
                match event {
                    // a soft error closed a channel, and the connection goes on
                    Event::Error(error) if !error.is_amqp_soft_error() => return error.into(),
                    _ => {}
                }
            }
            Error::Closed
        };
        Self(end.boxed().shared())
    }

    /// Waits for an operation, but not longer than its connection lives.
    pub(crate) async fn hold<T>(&self, operation: impl Future<Output = Result<T, lapin::Error>>) -> Result<T, Error> {
        match select(pin!(operation), self.0.clone()).await {
            Either::Left((outcome, _)) => Ok(outcome?),
            Either::Right((error, _)) => Err(error),
        }
    }

    /// Ready once the connection is gone.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        self.0.poll_unpin(cx)
    }
}

impl fmt::Debug for Lifeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifeline").field("end", &self.0.peek()).finish()
    }
}
