//! Why something is not done to the contents of a queue or an exchange, as an answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use stoa_amqp::ReplyCode;
use stoa_server::ContentsError;

use crate::failure::Failure;
use crate::unacked::unacked;

/// Why a request is not done.
#[derive(Debug)]
pub(crate) enum Refusal {
    Failure(Failure),
    /// The message is somebody's, perhaps this one's.
    InUse {
        reason: String,
        holder: Option<Box<Value>>,
    },
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Failure(failure) => failure.into_response(),
            Self::InUse { reason, holder } => {
                let body = json!({ "error": "conflict", "reason": reason, "holder": holder });
                (StatusCode::CONFLICT, Json(body)).into_response()
            }
        }
    }
}

/// The answer to a request that the broker did not do.
pub(crate) fn failure(error: ContentsError) -> Refusal {
    let reason = error.to_string();
    let of_amqp = |code: ReplyCode, reason: String| match code {
        // AMQP says "not allowed" of a virtual host that does not exist.
        ReplyCode::NotFound | ReplyCode::NotAllowed => missing(reason),
        ReplyCode::AccessRefused => Failure::refused(reason),
        _ => Failure::bad_request(reason),
    };
    let failure = match error {
        ContentsError::Topology(error) => of_amqp(error.code(), reason),
        ContentsError::Route(error) => of_amqp(error.code(), reason),
        ContentsError::NoMessage(_) | ContentsError::NotDelayed(_) => missing(reason),
        ContentsError::InUse { holder, .. } => {
            let holder = holder.map(|holder| Box::new(unacked(&holder, None)));
            return Refusal::InUse { reason, holder };
        }
        ContentsError::TooMany(_) => Failure::bad_request(reason),
        ContentsError::Damaged { .. } => internal_error(reason),
        ContentsError::NotDurable => Failure::store_failed(),
    };
    failure.into()
}

fn missing(reason: String) -> Failure {
    let (status, error) = (StatusCode::NOT_FOUND, "not_found");
    Failure { status, error, reason }
}

pub(crate) fn internal_error(reason: String) -> Failure {
    let (status, error) = (StatusCode::INTERNAL_SERVER_ERROR, "internal_error");
    Failure { status, error, reason }
}
