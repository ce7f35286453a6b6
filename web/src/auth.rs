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

/// Who is asking.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: String,
    tags: Vec<Box<str>>,
}

impl Caller {
    fn is(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| **own == *tag)
    }

    /// Whether that is visible to them: all is to administrators, and to others what they can use.
    pub(crate) fn sees(&self, broker: &Broker, vhost: &str) -> bool {
        self.is("administrator") || broker.may_access(&self.user, vhost)
    }

    /// Whether all is visible to them: administrators and those who watch.
    pub(crate) fn sees_users(&self) -> bool {
        self.is("administrator") || self.is("monitoring")
    }

    /// Administrators only.
    pub(crate) fn check_administrator(&self) -> Result<(), Failure> {
        if self.is("administrator") {
            return Ok(());
        }
        Err(refused("Not administrator user"))
    }

    /// Administrators, and policymakers where they have permissions.
    pub(crate) fn check_policymaker(&self, broker: &Broker, vhost: &str) -> Result<(), Failure> {
        if self.is("administrator") || self.is("policymaker") && broker.may_access(&self.user, vhost) {
            return Ok(());
        }
        Err(refused("User not authorised to access object"))
    }
}

pub(crate) fn refused(reason: &str) -> Failure {
    Failure {
        status: StatusCode::UNAUTHORIZED,
        error: "not_authorized",
        reason: reason.into(),
    }
}

/// Lets a request through whose user may log in.
pub(crate) async fn require_user(
    State(broker): State<Arc<Broker>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let known = credentials(request.headers()).filter(|(user, password)| broker.authenticate(user, password, peer.ip().is_loopback()));
    if let Some((user, _)) = known {
        let tags = broker.tags(&user);
        request.extensions_mut().insert(Caller { user, tags });
        return next.run(request).await;
    }
    let mut response = refused("Not_Authorized").into_response();
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
