//! Logging in, and what users see who may not do everything.

use serde_json::json;

use crate::driver::Screen;
use crate::page::Page;
use crate::support::Broker;
use crate::{ask, declare, publish};

#[tokio::test]
async fn a_password_is_asked_for_and_a_wrong_one_refused() {
    let Some(broker) = Broker::own() else { return };
    let Some(page) = Page::open(&broker, Screen::Desk).await else {
        return;
    };
    page.log_in("guest", "wrong").await;
    page.sees("User and password do not fit").await;
    page.picture("login").await;
    page.log_in("guest", "guest").await;
    page.heading("Overview").await;
    // The cookie is the session's: it lasts over a reload.
    page.client().refresh().await.unwrap();
    page.heading("Overview").await;
    page.press("Log out").await;
    page.input("Password").await;
    page.client().refresh().await.unwrap();
    page.input("Password").await;
    page.quit().await;
}

#[tokio::test]
async fn who_only_watches_sees_everything_and_no_buttons() {
    let Some(broker) = Broker::own() else { return };
    ask(
        &broker,
        "PUT",
        "/api/users/watcher",
        &json!({"password": "w", "tags": "monitoring"}),
    );
    declare(&broker, "watched");
    publish(&broker, "watched", "1");
    let Some(page) = Page::logged_in(&broker, Screen::Desk, "watcher", "w").await else {
        return;
    };
    page.sees("read only").await;
    page.visit("queues", "Queues").await;
    page.element("//td//a[normalize-space()='watched']").await;
    page.gone("//button[normalize-space()='New queue']").await;
    page.visit("queue/%2F/watched", "watched").await;
    page.element("//section[@aria-label='Bindings']").await;
    for button in ["Publish", "Pause", "Purge", "Delete", "Move all", "Bind", "Browse", "Unbind"] {
        page.gone(&format!("//main//button[normalize-space()='{button}']")).await;
    }
    page.picture("read-only").await;
    page.visit("exchange/%2F/amq.topic", "amq.topic").await;
    page.gone("//main//button[normalize-space()='Publish']").await;
    // The pages of administrators are not in the navigation, and say so to whoever goes there nevertheless.
    page.gone("//nav//a[normalize-space()='Users']").await;
    page.visit("users", "Not for this user").await;
    page.visit("overview", "Overview").await;
    page.quit().await;
}

#[tokio::test]
async fn a_refusal_is_told_and_ends_no_session() {
    let Some(broker) = Broker::own() else { return };
    ask(&broker, "PUT", "/api/users/clerk", &json!({"password": "c", "tags": "management"}));
    let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
    ask(&broker, "PUT", "/api/permissions/%2F/clerk", &all);
    declare(&broker, "kept");
    let Some(page) = Page::logged_in(&broker, Screen::Desk, "clerk", "c").await else {
        return;
    };
    page.visit("queue/%2F/kept", "kept").await;
    page.gone("//main//button[normalize-space()='Pause']").await;
    page.press("Delete").await;
    let fewer = json!({"configure": "", "write": ".*", "read": ".*"});
    ask(&broker, "PUT", "/api/permissions/%2F/clerk", &fewer);
    page.press("Delete").await;
    page.element("//dialog//*[@role='alert' and contains(., 'refused')]").await;
    page.press("Cancel").await;
    page.heading("kept").await;
    page.quit().await;
}
