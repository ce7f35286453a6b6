//! What a route is: method, path, who may, and what the OpenAPI document says of it. The list of all is in `routes`.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::Api;
use crate::auth::{self, Access};
use crate::body::Field;

/// One method of one path.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) summary: &'static str,
    /// It takes the parameters of lists: pages, filter, sort, columns.
    pub(crate) is_list: bool,
    /// The parameters of its query, beside those of lists.
    pub(crate) query: &'static [Field],
    /// The fields of its request's body; `None`: it takes none.
    pub(crate) body: Option<&'static [Field]>,
    handler: MethodRouter<Arc<Api>>,
}

impl Route {
    fn new<H, T>(filter: MethodFilter, method: &'static str, path: &'static str, access: Access, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<Api>>,
        T: 'static,
    {
        Self {
            method,
            path,
            access,
            summary,
            is_list: false,
            query: &[],
            body: None,
            handler: on(filter, handler),
        }
    }

    /// It takes these parameters in its query.
    pub(crate) fn asks(mut self, query: &'static [Field]) -> Self {
        self.query = query;
        self
    }

    /// It takes a body with these fields.
    pub(crate) fn takes(mut self, body: &'static [Field]) -> Self {
        self.body = Some(body);
        self
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident $filter:ident $method:literal;)*) => { $(
        $(#[$doc])*
        pub(crate) fn $name<H, T>(path: &'static str, access: Access, summary: &'static str, handler: H) -> Route
        where
            H: Handler<T, Arc<Api>>,
            T: 'static,
        {
            Route::new(MethodFilter::$filter, $method, path, access, summary, handler)
        }
    )* };
}

methods! {
    /// `GET` of one thing, or of a list that is always short.
    get GET "get";
    put PUT "put";
    post POST "post";
    delete DELETE "delete";
}

/// `GET` of a list.
pub(crate) fn list<H, T>(path: &'static str, access: Access, summary: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<Api>>,
    T: 'static,
{
    Route {
        is_list: true,
        ..get(path, access, summary, handler)
    }
}

/// All routes, each behind the check of who may use it.
pub(crate) fn router(routes: Vec<Route>, api: &Arc<Api>) -> Router<Arc<Api>> {
    routes.into_iter().fold(Router::new(), |router, route| {
        let access = route.access;
        let guard = from_fn_with_state(api.clone(), move |api, peer, parameters, request, next| {
            auth::guard(access, api, peer, parameters, request, next)
        });
        router.route(route.path, route.handler.layer(guard))
    })
}
