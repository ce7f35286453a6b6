//! Every page, light and dark, wide and narrow: axe finds nothing serious, nothing sticks out, and a picture is kept.

use serde_json::json;

use crate::driver::Screen;
use crate::page::Page;
use crate::support::Broker;
use crate::support::lapin::*;
use crate::{ask, axe, publish};

/// Where every page is, and its heading; `CONNECTION` is the only one there is.
const PAGES: &[(&str, &str)] = &[
    ("overview", "Overview"),
    ("queues", "Queues"),
    ("queue/%2F/orders", "orders"),
    ("exchanges", "Exchanges"),
    ("exchange/%2F/later", "later"),
    ("topology", "Topology"),
    ("bindings", "Bindings"),
    ("connections", "Connections"),
    ("connection/CONNECTION", "CONNECTION"),
    ("channels", "Channels"),
    ("channel/CONNECTION (1)", "CONNECTION (1)"),
    ("consumers", "Consumers"),
    ("users", "Users"),
    ("user/clerk", "clerk"),
    ("vhosts", "Virtual hosts"),
    ("vhost/%2F", "/"),
    ("policies", "Policies"),
    ("limits", "Limits"),
    ("definitions", "Definitions"),
];

/// Something for every page to show.
async fn furnish(broker: &Broker) -> Connection {
    let may = json!({"configure": "", "write": "^orders", "read": ".*"});
    let document = json!({
        "queues": [
            {"vhost": "/", "name": "orders", "durable": true, "auto_delete": false, "arguments": {"x-max-length": 1000, "x-dead-letter-exchange": "amq.fanout"}},
            {"vhost": "/", "name": "a.queue.with.a.long.name.that.nobody.would.want.to.read.on.a.telephone", "durable": true, "auto_delete": false, "arguments": {}},
        ],
        "exchanges": [{"vhost": "/", "name": "later", "type": "x-delayed-message", "durable": true, "auto_delete": false, "internal": false, "arguments": {"x-delayed-type": "direct"}}],
        "bindings": [
            {"vhost": "/", "source": "amq.topic", "destination": "orders", "destination_type": "queue", "routing_key": "order.#", "arguments": {}},
            {"vhost": "/", "source": "amq.topic", "destination": "later", "destination_type": "exchange", "routing_key": "later.#", "arguments": {}},
            {"vhost": "/", "source": "later", "destination": "orders", "destination_type": "queue", "routing_key": "", "arguments": {}},
        ],
        "policies": [{"vhost": "/", "name": "bounded", "pattern": "^orders", "definition": {"max-length": 5000, "overflow": "reject-publish"}, "priority": 1, "apply-to": "queues"}],
        "parameters": [{"vhost": "/", "component": "vhost-limits", "name": "limits", "value": {"max-queues": 500}}],
    });
    ask(broker, "POST", "/api/definitions", &document);
    ask(broker, "PUT", "/api/users/clerk", &json!({"password": "c", "tags": "management"}));
    ask(broker, "PUT", "/api/permissions/%2F/clerk", &may);
    ask(broker, "PUT", "/api/user-limits/clerk/max-channels", &json!({"value": 20}));
    let delayed =
        json!({"properties": {"headers": {"x-delay": 3_600_000}}, "routing_key": "", "payload": "later", "payload_encoding": "string"});
    ask(broker, "POST", "/api/exchanges/%2F/later/publish", &delayed);
    (0..5).for_each(|n| publish(broker, "orders", &json!({"order": n}).to_string()));
    let connection = connect(broker).await;
    let channel = channel_on(&connection).await;
    prefetch(&channel, 2).await;
    let mut consumer = consume(&channel, "orders", BasicConsumeOptions::default()).await;
    next(&mut consumer).await;
    next(&mut consumer).await;
    // They stay as long as the connection does.
    std::mem::forget((channel, consumer));
    connection
}

async fn look_at_every_page(screen: Screen, themes: &[&str]) {
    let Some(broker) = Broker::own_with(&["--set", "management.sample_interval=250ms"]) else {
        return;
    };
    let Some(axe) = axe::script() else { return };
    let _connection = furnish(&broker).await;
    let Some(page) = Page::open(&broker, screen).await else { return };
    let shape = if screen == Screen::Phone { "phone" } else { "wide" };
    let name = ask(&broker, "GET", "/api/connections", &json!(null))[0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    for (number, theme) in themes.iter().enumerate() {
        page.script(
            "localStorage.setItem('stoa', JSON.stringify({theme: arguments[0], interval: 0}))",
            vec![json!(theme)],
        )
        .await;
        page.client().refresh().await.unwrap();
        if number == 0 {
            page.input("Password").await;
            axe::check(&page, &axe, "login").await;
            page.log_in("guest", "guest").await;
        }
        page.visit("overview", "Overview").await;
        for (place, heading) in PAGES {
            let (place, heading) = (place.replace("CONNECTION", &name), heading.replace("CONNECTION", &name));
            let address: String = place.split('/').map(encoded).collect::<Vec<_>>().join("/");
            page.visit(&address, &heading).await;
            // It has its answers.
            page.element("//main[@aria-busy='false']").await;
            let short = place.split('/').next().unwrap();
            page.picture(&format!("{short}-{shape}-{theme}")).await;
            axe::check(&page, &axe, &format!("{place}, {theme}, {shape}")).await;
            let beyond = page
                .script(
                    "return document.documentElement.scrollWidth - document.documentElement.clientWidth",
                    vec![],
                )
                .await;
            assert!(
                beyond.as_i64().unwrap() <= 0,
                "{place} is wider than the screen ({shape}) by {beyond}"
            );
        }
    }
    page.quit().await;
}

/// As a part of the dashboard's addresses.
fn encoded(part: &str) -> String {
    part.replace(' ', "%20").replace('>', "%3E")
}

#[tokio::test]
async fn every_page_is_good_on_a_desk_light_and_dark() {
    look_at_every_page(Screen::Desk, &["light", "dark"]).await;
}

#[tokio::test]
async fn every_page_is_good_on_a_phone() {
    look_at_every_page(Screen::Phone, &["light", "dark"]).await;
}
