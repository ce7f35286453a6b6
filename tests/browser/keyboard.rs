//! The dashboard without a mouse.

use fantoccini::key::Key;

use crate::driver::Screen;
use crate::page::Page;
use crate::support::{Broker, eventually};

#[tokio::test]
async fn everything_can_be_done_by_keyboard() {
    let Some(broker) = Broker::own() else { return };
    let Some(page) = Page::open(&broker, Screen::Desk).await else {
        return;
    };
    let focus = async |what: &str| {
        eventually(&format!("the focus on {what}"), async || {
            (page.focused().await == what).then_some(())
        })
        .await
    };
    // The focus is in the form at once.
    focus("User").await;
    page.strike("guest").await;
    page.strike_key(Key::Tab).await;
    page.strike("guest").await;
    page.strike_key(Key::Enter).await;
    page.heading("Overview").await;

    // Single keys lead to pages and tools.
    page.strike("q").await;
    page.heading("Queues").await;
    page.element("//section[@aria-label='queues']//tbody//td").await;
    page.strike("n").await;
    focus("Name").await;
    page.strike("typed").await;
    page.strike_key(Key::Enter).await;
    page.sees("Queue typed is there.").await;
    page.strike("/").await;
    focus("Filter queues by name").await;
    page.strike("typ").await;
    page.tab_to("typed").await;
    page.strike_key(Key::Enter).await;
    page.heading("typed").await;

    // A dialog holds the focus, and gives it up with the escape key.
    page.tab_to("Delete").await;
    page.strike_key(Key::Enter).await;
    page.element("//dialog[@open]").await;
    for _ in 0..12 {
        page.strike_key(Key::Tab).await;
        let inside = page
            .script(
                "return document.activeElement === document.body || !!document.activeElement.closest('dialog')",
                vec![],
            )
            .await;
        assert_eq!(inside, true, "the focus has left the dialog");
    }
    page.strike_key(Key::Escape).await;
    page.gone("//dialog").await;
    page.heading("typed").await;

    // What comes first on each page is the way past the navigation.
    page.client().refresh().await.unwrap();
    page.heading("typed").await;
    page.tab_to("Skip to content").await;
    page.strike_key(Key::Enter).await;
    eventually("the focus in the content", async || {
        (page.script("return document.activeElement.id", vec![]).await == "main").then_some(())
    })
    .await;
    page.quit().await;
}
