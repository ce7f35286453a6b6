//! `GET /api/queues/{vhost}/{name}/unacked?from=&count=`: who holds which message, and since when; the oldest first. Stoa's own.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use stoa_server::{Asker, Millis, Sequence, UnackedView};

use crate::auth::Caller;
use crate::body::{Field, optional};
use crate::contents::in_turn;
use crate::failure::Failure;
use crate::picks::wanted;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::{Site, names};

/// Which of them.
pub(crate) const PAGE: &[Field] = &[optional("from", "string"), optional("count", "integer")];

pub(crate) async fn list(
    State(api): Site,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Refusal> {
    let from = query.get("from").map(place).transpose()?;
    let count = wanted(&query.without("from"))?.count;
    let user = caller.user;
    let page = in_turn(&api.broker, move |broker| {
        let (user, vhost) = (&*user, &*vhost);
        broker.unacked(Asker { user, vhost }, &name, from, count)
    })
    .await?;
    let messages: Vec<_> = page.messages.iter().map(|message| unacked(message, Some(page.now))).collect();
    let mut answer = json!({ "messages": messages });
    if let Some((since, sequence)) = page.next {
        answer["next"] = format!("{since}-{sequence}").into();
    }
    Ok(Json(answer))
}

/// Where a page begins, as the one before said it: a time and an id.
fn place(text: &str) -> Result<(Millis, Sequence), Failure> {
    let parts = text.split_once('-');
    let place = parts.and_then(|(since, sequence)| Some((Millis(since.parse().ok()?), Sequence(sequence.parse().ok()?))));
    place.ok_or_else(|| Failure::bad_request(format!("from is not what next has said: {text}")))
}

/// A message that is held.
pub(crate) fn unacked(message: &UnackedView, now: Option<Millis>) -> Value {
    let holder = &message.holder;
    let mut shown = json!({
        "id": message.sequence.to_string(),
        "delivery_tag": message.delivery_tag.0,
        "since": message.since.0,
        "connection": names::connection(holder.peer, holder.local, holder.connection),
        "connection_id": holder.connection.0,
        "peer_address": holder.peer.to_string(),
        "user": holder.user,
        "channel": holder.channel,
        "consumer_tag": holder.consumer_tag.as_ref().map(|tag| tag.as_str_lossy()),
    });
    if let Some(now) = now {
        shown["age_ms"] = now.0.saturating_sub(message.since.0).into();
    }
    shown
}
