//! What somebody does with queues and messages, from the declaration to the end.

use serde_json::{Value, json};

use crate::driver::Screen;
use crate::page::Page;
use crate::support::{Broker, eventually};
use crate::{ask, declare, publish, ready};

#[tokio::test]
async fn a_queue_is_declared_bound_fed_browsed_emptied_and_deleted() {
    let Some(broker) = Broker::own() else { return };
    let Some(page) = Page::logged_in(&broker, Screen::Desk, "guest", "guest").await else {
        return;
    };
    page.visit("queues", "Queues").await;
    page.sees("There are no queues yet").await;

    page.press("New queue").await;
    page.fill("Name", "orders").await;
    page.fill("Message TTL (ms)", "60000").await;
    page.press("Declare").await;
    page.sees("Queue orders is there.").await;
    page.press_at("//td//a[normalize-space()='orders']").await;
    page.heading("orders").await;
    let declared = ask(&broker, "GET", "/api/queues/%2F/orders", &Value::Null);
    assert_eq!(
        (&declared["durable"], &declared["arguments"]["x-message-ttl"]),
        (&json!(true), &json!(60_000))
    );

    page.press("Bind").await;
    page.fill("From the exchange", "amq.topic").await;
    page.fill("Routing key", "order.*").await;
    page.press("Bind").await;
    page.element("//section[@aria-label='Bindings']//td//code[normalize-space()='order.*']")
        .await;

    page.press("Publish").await;
    page.fill("Body", "{\"order\": 17}").await;
    page.fill("Content type", "application/json").await;
    page.press("Publish").await;
    page.sees("Published.").await;
    assert_eq!(ready(&broker, "orders"), 1);

    page.press("Browse").await;
    let body = page.element("//article[@aria-label='Message 0']//pre").await;
    assert_eq!(body.text().await.unwrap(), "{\n  \"order\": 17\n}", "JSON is set out in lines");
    page.picture("browse").await;
    assert_eq!(ready(&broker, "orders"), 1, "to look is not to take");

    declare(&broker, "parked");
    page.press_at("//article//button[normalize-space()='Move']").await;
    page.fill("To the queue", "parked").await;
    page.press("Move").await;
    page.gone("//article").await;
    assert_eq!((ready(&broker, "orders"), ready(&broker, "parked")), (json!(0), json!(1)));

    publish(&broker, "orders", "1");
    publish(&broker, "orders", "2");
    page.press("Browse").await;
    page.press_at("//article[1]//button[normalize-space()='Delete']").await;
    page.press("Delete").await;
    page.sees("The message is gone.").await;
    assert_eq!(ready(&broker, "orders"), 1);

    page.press("Move all").await;
    page.fill("To the queue", "parked").await;
    page.press("Move").await;
    page.sees("1 messages moved.").await;
    assert_eq!((ready(&broker, "orders"), ready(&broker, "parked")), (json!(0), json!(2)));

    publish(&broker, "orders", "3");
    page.press("Purge").await;
    page.press("Purge").await;
    page.sees("orders is empty.").await;
    assert_eq!(ready(&broker, "orders"), 0);

    page.press("Pause").await;
    page.sees("paused").await;
    page.press("Resume").await;
    page.sees("orders delivers again.").await;

    page.press("Delete").await;
    page.press("Delete").await;
    page.heading("Queues").await;
    page.gone("//td//a[normalize-space()='orders']").await;
    page.element("//td//a[normalize-space()='parked']").await;
    page.quit().await;
}

#[tokio::test]
async fn mistakes_are_shown_where_they_were_made() {
    let Some(broker) = Broker::own() else { return };
    let Some(page) = Page::logged_in(&broker, Screen::Desk, "guest", "guest").await else {
        return;
    };
    page.visit("queues", "Queues").await;
    page.press("New queue").await;
    page.fill("Name", "amq.mine").await;
    page.press("Declare").await;
    assert!(page.problem_at("Name").await.contains("reserved prefix"));
    page.fill("Name", "mine").await;
    page.fill("Further arguments", "x-max-length").await;
    page.press("Declare").await;
    assert!(page.problem_at("Further arguments").await.contains("not of the form name = value"));
    page.fill("Further arguments", "x-overflow = sideways").await;
    page.press("Declare").await;
    eventually("the broker's answer", async || {
        page.problem_at("Further arguments")
            .await
            .contains("invalid_overflow")
            .then_some(())
    })
    .await;
    page.picture("mistake").await;
    page.fill("Further arguments", "x-overflow = reject-publish").await;
    page.press("Declare").await;
    page.sees("Queue mine is there.").await;

    page.visit("queue/%2F/mine", "mine").await;
    page.press("Publish").await;
    page.fill("Further properties", "{\"headers\"").await;
    page.press("Publish").await;
    assert!(page.problem_at("Further properties").await.contains("not valid JSON"));
    page.press("Cancel").await;
    publish(&broker, "mine", "1");
    page.press("Move all").await;
    page.fill("To the queue", "nowhere").await;
    page.press("Move").await;
    assert_eq!(
        page.problem_at("To the queue").await,
        "1 stayed: there is no queue nowhere that takes them."
    );
    page.press("Cancel").await;

    page.visit("policies", "Policies").await;
    page.press("New policy").await;
    page.fill("Name", "p").await;
    page.fill("Names that match", "(").await;
    page.fill("Definition", "{\"max-length\": 5}").await;
    page.press("Add").await;
    assert!(page.problem_at("Names that match").await.contains("regular expression"));
    page.press("Cancel").await;

    page.visit("queue/%2F/nothing", "Not here").await;
    page.quit().await;
}

#[tokio::test]
async fn a_chart_moves() {
    let Some(broker) = Broker::own_with(&["--set", "management.sample_interval=250ms"]) else {
        return;
    };
    declare(&broker, "fed");
    let Some(page) = Page::logged_in(&broker, Screen::Desk, "guest", "guest").await else {
        return;
    };
    page.script("localStorage.setItem('stoa', JSON.stringify({interval: 300}))", vec![])
        .await;
    page.visit("queue/%2F/fed", "fed").await;
    let label = async || {
        let chart = page
            .element("//*[@role='img' and starts-with(@aria-label, 'Messages in fed')]")
            .await;
        chart.attr("aria-label").await.unwrap().unwrap_or_default()
    };
    eventually("an empty chart", async || label().await.contains("now ready 0,").then_some(())).await;
    (0..3).for_each(|n| publish(&broker, "fed", &n.to_string()));
    eventually("three messages in the chart", async || {
        label().await.contains("now ready 3,").then_some(())
    })
    .await;
    page.element("//*[@aria-label[starts-with(., 'Messages in fed')]]//canvas").await;
    page.quit().await;
}

#[tokio::test]
async fn what_needs_somebody_comes_first() {
    let Some(broker) = Broker::own_with(&["--set", "management.sample_interval=250ms"]) else {
        return;
    };
    let Some(page) = Page::logged_in(&broker, Screen::Desk, "guest", "guest").await else {
        return;
    };
    page.sees("Nothing needs you now").await;
    page.script("localStorage.setItem('stoa', JSON.stringify({interval: 300}))", vec![])
        .await;
    page.client().refresh().await.unwrap();
    declare(&broker, "left");
    ask(
        &broker,
        "POST",
        "/api/definitions",
        &json!({"policies": [{"vhost": "/", "name": "p", "pattern": ".*", "definition": {"max-length": 2000}, "priority": 0, "apply-to": "queues"}]}),
    );
    (0..1000).for_each(|_| publish(&broker, "left", "1"));
    page.sees("Nobody consumes from").await;
    // What is drawn anew all the time cannot be hit.
    page.script("localStorage.setItem('stoa', JSON.stringify({interval: 0}))", vec![])
        .await;
    page.press_at("//*[@aria-label='What needs attention']//a[normalize-space()='left']")
        .await;
    page.heading("left").await;
    page.quit().await;
}

#[tokio::test]
async fn a_broker_that_is_gone_is_noticed() {
    let Some(mut broker) = Broker::own() else { return };
    let Some(page) = Page::logged_in(&broker, Screen::Desk, "guest", "guest").await else {
        return;
    };
    page.script("localStorage.setItem('stoa', JSON.stringify({interval: 300}))", vec![])
        .await;
    page.client().refresh().await.unwrap();
    page.element("//*[@role='status' and normalize-space()='live']").await;
    broker.kill();
    page.element("//*[@role='status' and starts-with(., 'The broker does not answer')]")
        .await;
    page.picture("gone").await;
    page.quit().await;
}
