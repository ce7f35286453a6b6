//! Who is asking: HTTP basic authentication against the broker's users.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stoa_server::Broker;

use crate::Failure;

/// Lets a request through whose user may log in.
pub(crate) async fn require_user(
    State(broker): State<Arc<Broker>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let accepted =
        credentials(request.headers()).is_some_and(|(user, password)| broker.authenticate(&user, &password, peer.ip().is_loopback()));
    if accepted {
        return next.run(request).await;
    }
    let failure = Failure {
        status: StatusCode::UNAUTHORIZED,
        error: "not_authorized",
        reason: "Not_Authorized".into(),
    };
    let mut response = failure.into_response();
    // The page asks for the password itself: a browser's own dialogue would get in its way.
    if !request.headers().contains_key("x-requested-with") {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"Stoa\""));
    }
    response
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = encoded.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
