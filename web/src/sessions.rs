//! Sessions of browsers: `/api/login` gives a cookie that no script can read, and a token that requests which change something must bring along (CSRF).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use rand::TryRngCore;
use serde_json::json;
use std::net::SocketAddr;
use stoa_server::ManagementConfig;

use crate::Api;
use crate::auth::{self, Caller};
use crate::body::{Field, Octets, required};
use crate::failure::Failure;
use crate::query::Query;

/// The fields of a login: JSON, or a form as RabbitMQ's page sends it.
pub(crate) const LOGIN: &[Field] = &[required("username", "string"), required("password", "string")];

const COOKIE: &str = "stoa_session";

/// How many times its idle time a session may last.
const AGE_FACTOR: u32 = 12;

/// Who has logged in.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) user: String,
    pub(crate) csrf_token: String,
    /// Which password it was: with another one the session is over.
    pub(crate) password_mark: u64,
    begun: Instant,
    used: Instant,
}

/// The sessions there are, by the token in the cookie.
#[derive(Debug)]
pub(crate) struct Sessions {
    idle: Duration,
    most: usize,
    all: Mutex<HashMap<String, Session>>,
}

impl Sessions {
    pub(crate) fn new(config: &ManagementConfig) -> Self {
        Self {
            idle: config.session_idle,
            most: config.sessions_max.max(1),
            all: Mutex::default(),
        }
    }

    fn begin(&self, user: String, password_mark: u64) -> Result<(String, Session), Failure> {
        let (token, csrf_token) = (secret()?, secret()?);
        let now = Instant::now();
        let session = Session {
            user,
            csrf_token,
            password_mark,
            begun: now,
            used: now,
        };
        let mut all = self.all.lock();
        all.retain(|_, session| !self.is_over(session));
        if all.len() >= self.most
            && let Some(stalest) = all.iter().min_by_key(|(_, session)| session.used).map(|(token, _)| token.clone())
        {
            all.remove(&stalest);
        }
        all.insert(token.clone(), session.clone());
        Ok((token, session))
    }

    fn is_over(&self, session: &Session) -> bool {
        session.used.elapsed() > self.idle || session.begun.elapsed() > self.idle * AGE_FACTOR
    }

    /// The session of a token, which is used now.
    pub(crate) fn find(&self, token: &str) -> Option<Session> {
        let mut all = self.all.lock();
        let session = all.get_mut(token)?;
        if self.is_over(session) {
            all.remove(token);
            return None;
        }
        session.used = Instant::now();
        Some(session.clone())
    }

    pub(crate) fn end(&self, token: &str) {
        self.all.lock().remove(token);
    }
}

/// What nobody guesses.
fn secret() -> Result<String, Failure> {
    let mut octets = [0_u8; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut octets).map_err(|_| Failure::store_failed())?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

/// The session's token in a request's cookies.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, token)| token)
}

fn cookie(token: &str, rest: &str) -> String {
    format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{rest}")
}

fn view(caller: &Caller, csrf_token: &str) -> serde_json::Value {
    json!({"name": caller.user, "tags": caller.tags, "csrf_token": csrf_token})
}

/// Begins a session.
pub(crate) async fn log_in(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Octets(octets): Octets,
) -> Result<Response, Failure> {
    let form = || Query::parse(&String::from_utf8_lossy(&octets));
    let field = |name: &str| match serde_json::from_slice::<serde_json::Value>(&octets) {
        Ok(body) => body.get(name).and_then(serde_json::Value::as_str).map(str::to_owned),
        Err(_) => form().get(name).map(str::to_owned),
    };
    let (Some(user), Some(password)) = (field("username"), field("password")) else {
        return Err(Failure::bad_request("username and password should be strings"));
    };
    let caller = auth::log_in(&api, peer, user, password).await?;
    let mark = api
        .broker
        .password_mark(&caller.user)
        .ok_or_else(|| Failure::refused("Not_Authorized"))?;
    let (token, session) = api.sessions.begin(caller.user.clone(), mark)?;
    tracing::info!(target: "audit", %peer, user = caller.user, "logged in");
    let headers = [(header::SET_COOKIE, cookie(&token, ""))];
    Ok((headers, axum::Json(view(&caller, &session.csrf_token))).into_response())
}

/// Whose session this is.
pub(crate) async fn current(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let session = token(&headers).and_then(|token| api.sessions.find(token));
    let session = session.ok_or_else(|| Failure::refused("Not_Authorized"))?;
    let caller = auth::identify(&api, peer, &Method::GET, &headers).await?;
    Ok(axum::Json(view(&caller, &session.csrf_token)).into_response())
}

/// Ends the session.
pub(crate) async fn log_out(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    if let Some(token) = token(&headers) {
        api.sessions.end(token);
    }
    let headers = [(header::SET_COOKIE, cookie("", "; Max-Age=0"))];
    (StatusCode::NO_CONTENT, headers).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_by_themselves_and_are_bounded() {
        let config = ManagementConfig {
            sessions_max: 2,
            ..ManagementConfig::default()
        };
        let sessions = Sessions::new(&config);
        let tokens: Vec<_> = ["a", "b", "c"].map(|user| sessions.begin(user.into(), 1).unwrap().0).into();
        assert!(sessions.find(&tokens[0]).is_none(), "the stalest made room");
        assert_eq!(sessions.find(&tokens[2]).map(|session| session.user).as_deref(), Some("c"));
        sessions.end(&tokens[2]);
        assert!(sessions.find(&tokens[2]).is_none());
        let short = Sessions::new(&ManagementConfig {
            session_idle: Duration::ZERO,
            ..config
        });
        let (token, _) = short.begin("a".into(), 1).unwrap();
        assert!(short.find(&token).is_none());
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=b; stoa_session=t0ken; c=d".parse().unwrap());
        assert_eq!(token(&headers), Some("t0ken"));
        headers.insert(header::COOKIE, "a=b".parse().unwrap());
        assert_eq!(token(&headers), None);
    }
}
