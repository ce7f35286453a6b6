//! Errors as RabbitMQ's API words them: a status code, and `{"error", "reason"}`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use stoa_amqp::ReplyCode;
use stoa_server::Refusal;

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    #[serde(skip)]
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) reason: String,
}

impl Failure {
    fn new(status: StatusCode, error: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { status, error, reason }
    }

    /// There is no such thing.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Object Not Found", "Not Found")
    }

    /// The request makes no sense.
    pub(crate) fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", reason)
    }

    /// Whoever asks may not do this.
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_authorized", reason)
    }

    /// A request with a session's cookie does not prove that its page sent it.
    pub(crate) fn forged() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "the header x-csrf-token does not fit the session",
        )
    }

    /// Where a virtual host is named that does not exist, outside the path's own resource.
    pub(crate) fn no_vhost() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "vhost_not_found")
    }

    /// A page behind the last one.
    pub(crate) fn page_out_of_range(reason: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "page_out_of_range", reason)
    }

    /// The body is longer than it may be.
    pub(crate) fn too_large(bytes_max: usize) -> Self {
        let reason = format!("the body is larger than {bytes_max} octets");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "bad_request", reason)
    }

    /// Too many logins have failed.
    pub(crate) fn too_many_logins() -> Self {
        let reason = "too many failed logins, try again later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", reason)
    }

    /// The path is right, the method is not.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method Not Allowed")
    }

    /// The broker could not make a change last.
    pub(crate) fn store_failed() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", "the store has failed")
    }

    /// What AMQP would answer with that code and text. RabbitMQ's API says 401 to a refused access and 400 to all else.
    pub(crate) fn of_amqp(code: ReplyCode, text: &str) -> Self {
        match code {
            ReplyCode::AccessRefused => Self::refused(text),
            ReplyCode::NotFound => Self::new(StatusCode::NOT_FOUND, "not_found", text),
            ReplyCode::InternalError => Self::store_failed(),
            ReplyCode::ResourceError => Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", text),
            _ => Self::bad_request(text),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::of_amqp(refusal.code, &refusal.text)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, axum::Json(self)).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }
}
