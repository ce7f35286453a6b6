//! What is the same for every request, whatever its route: trailing slashes, headers that keep browsers safe, other origins, and paths that lead nowhere.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use stoa_server::ManagementConfig;

use crate::failure::Failure;

/// The routes, and around them what is common to all.
pub(crate) fn around(routes: Router, config: &ManagementConfig) -> Router {
    let origins = config.cors_origins.clone();
    Router::new()
        .fallback_service(routes)
        .layer(from_fn(move |request, next| common(origins.clone(), request, next)))
}

async fn common(origins: Vec<String>, mut request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let origin = origin.filter(|origin| origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()));
    let is_preflight = request.method() == Method::OPTIONS && request.headers().contains_key("access-control-request-method");
    if let Some(uri) = without_trailing_slash(request.uri()) {
        *request.uri_mut() = uri;
    }
    let mut response = if is_preflight && origin.is_some() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    harden(response.headers_mut());
    if let Some(origin) = origin {
        admit(response.headers_mut(), origin, is_preflight);
    }
    response
}

/// `/api/queues/` is `/api/queues`.
fn without_trailing_slash(uri: &Uri) -> Option<Uri> {
    let is_known = |path: &&str| path.starts_with("/api") || *path == "/cli";
    let path = uri.path().strip_suffix('/').filter(is_known)?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{path}{query}").parse().ok()
}

/// The page brings everything along: nothing is loaded from elsewhere, and nobody may frame it.
fn harden(headers: &mut HeaderMap) {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let mut set = |name: header::HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, policy);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "same-origin");
    set(header::CACHE_CONTROL, "no-store");
    set(header::VARY, "accept, accept-encoding, origin");
}

/// A page of another origin that is configured may use the answer.
fn admit(headers: &mut HeaderMap, origin: HeaderValue, is_preflight: bool) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    if is_preflight {
        let (methods, names) = (
            "GET, HEAD, PUT, POST, DELETE",
            "authorization, content-type, x-csrf-token, x-reason, x-requested-with",
        );
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(names));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("1800"));
    }
}

pub(crate) async fn not_found() -> Failure {
    Failure::not_found()
}

/// `OPTIONS` asks which methods there are: the router says so in the header `allow`.
pub(crate) async fn method_not_allowed(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::OK.into_response();
    }
    Failure::method_not_allowed().into_response()
}
