//! Who asks, and whether they may: HTTP basic authentication or a session's cookie, the user's tags, and the virtual host in the path.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stoa_server::Broker;

use crate::Api;
use crate::failure::Failure;
use crate::sessions;

/// Who may use a route. As in RabbitMQ, every user of the API has at least one of the tags `management`, `policymaker`, `monitoring` and `administrator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody, logged in or not.
    Public,
    /// Every user of the API.
    User,
    /// Who sees the virtual host in the path: those with permissions in it, and those who watch all.
    Visible,
    /// Who has permissions in the virtual host in the path: AMQP's own permissions are checked besides.
    Vhost,
    /// `monitoring` and `administrator`.
    Monitoring,
    /// `policymaker`, with permissions in the virtual host in the path, and `administrator`.
    Policymaker,
    /// `administrator`.
    Administrator,
}

impl Access {
    /// As the OpenAPI document says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::User => "management",
            Self::Visible => "management, and the virtual host visible",
            Self::Vhost => "management, with permissions in the virtual host",
            Self::Monitoring => "monitoring",
            Self::Policymaker => "policymaker",
            Self::Administrator => "administrator",
        }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: String,
    pub(crate) tags: Vec<Box<str>>,
}

impl Caller {
    pub(crate) fn is(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| **own == *tag)
    }

    fn is_any(&self, tags: &[&str]) -> bool {
        tags.iter().any(|tag| self.is(tag))
    }

    pub(crate) fn is_administrator(&self) -> bool {
        self.is("administrator")
    }

    /// Sees what is others'.
    pub(crate) fn is_monitor(&self) -> bool {
        self.is_any(&["administrator", "monitoring"])
    }

    /// Whether a virtual host is visible to them.
    pub(crate) fn sees(&self, broker: &Broker, vhost: &str) -> bool {
        self.is_monitor() || broker.may_access(&self.user, vhost)
    }

    /// Administrators only.
    pub(crate) fn check_administrator(&self) -> Result<(), Failure> {
        if self.is_administrator() {
            return Ok(());
        }
        Err(Failure::refused("Not administrator user"))
    }

    fn check(&self, access: Access, broker: &Broker, vhost: Option<&str>) -> Result<(), Failure> {
        if !self.is_any(&["administrator", "monitoring", "policymaker", "management"]) {
            return Err(Failure::refused("Not management user"));
        }
        let wrong_vhost = || Failure::refused("User not authorised to access virtual host");
        // A virtual host that does not exist is not found, rather than refused.
        let vhost = vhost.filter(|vhost| broker.has_vhost(vhost));
        match access {
            Access::Public | Access::User => Ok(()),
            Access::Visible if vhost.is_none_or(|vhost| self.sees(broker, vhost)) => Ok(()),
            Access::Vhost if vhost.is_none_or(|vhost| broker.may_access(&self.user, vhost)) => Ok(()),
            Access::Visible | Access::Vhost => Err(wrong_vhost()),
            Access::Monitoring if self.is_monitor() => Ok(()),
            Access::Monitoring => Err(Failure::refused("Not monitor user")),
            Access::Policymaker if self.is_administrator() => Ok(()),
            Access::Policymaker if self.is("policymaker") && vhost.is_none_or(|vhost| broker.may_access(&self.user, vhost)) => Ok(()),
            Access::Policymaker => Err(Failure::refused("User not authorised to access object")),
            Access::Administrator => self.check_administrator(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Failure::refused("Not_Authorized"))
    }
}

/// Lets a request through to a route if whoever asks may use it, and notes what administrators did.
pub(crate) async fn guard(
    access: Access,
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    parameters: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    if access == Access::Public {
        return next.run(request).await;
    }
    let caller = match identify(&api, peer, request.method(), request.headers()).await {
        Ok(caller) => caller,
        Err(failure) => return ask_for_login(failure, request.headers()),
    };
    let vhost = parameters.iter().find(|(name, _)| *name == "vhost").map(|(_, vhost)| vhost);
    if let Err(failure) = caller.check(access, &api.broker, vhost) {
        return failure.into_response();
    }
    let changes = !request.method().is_safe();
    let (method, path, user) = (request.method().clone(), request.uri().path().to_owned(), caller.user.clone());
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    if changes {
        tracing::info!(target: "audit", %peer, user, %method, path, status = response.status().as_u16(), "administration");
    }
    response
}

/// Who asks, by the password or the cookie that came along.
pub(crate) async fn identify(api: &Arc<Api>, peer: SocketAddr, method: &Method, headers: &HeaderMap) -> Result<Caller, Failure> {
    if let Some((user, password)) = credentials(headers) {
        return log_in(api, peer, user, password).await;
    }
    let token = sessions::token(headers).ok_or_else(|| Failure::refused("Not_Authorized"))?;
    let session = api.sessions.find(token).ok_or_else(|| Failure::refused("Not_Authorized"))?;
    if !method.is_safe() && headers.get("x-csrf-token").is_none_or(|given| given != session.csrf_token.as_str()) {
        return Err(Failure::forged());
    }
    // A user that is gone, or whose password is another one, has no sessions.
    if !api.broker.password_is(&session.user, session.password_mark) {
        api.sessions.end(token);
        return Err(Failure::refused("Not_Authorized"));
    }
    let tags = api.broker.tags(&session.user);
    Ok(Caller { user: session.user, tags })
}

/// Whether that is the user's password; after too many that were not, nobody is asked.
pub(crate) async fn log_in(api: &Arc<Api>, peer: SocketAddr, user: String, password: String) -> Result<Caller, Failure> {
    if api.broker.is_login_blocked(peer.ip(), &user) {
        return Err(Failure::too_many_logins());
    }
    let local = peer.ip().to_canonical().is_loopback();
    let is_right = api.broker.log_in(&user, &password, local).await;
    api.logins.note(is_right);
    if !is_right {
        api.broker.note_failed_login(peer.ip(), &user);
        tracing::warn!(%peer, user, "login refused");
        return Err(Failure::refused("Not_Authorized"));
    }
    let tags = api.broker.tags(&user);
    Ok(Caller { user, tags })
}

fn ask_for_login(failure: Failure, headers: &HeaderMap) -> Response {
    let unauthorized = failure.status == 401;
    let mut response = failure.into_response();
    // A page asks for the password itself: a browser's own dialogue would get in its way.
    if unauthorized && !headers.contains_key("x-requested-with") {
        let challenge = HeaderValue::from_static("Basic realm=\"Stoa\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
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
