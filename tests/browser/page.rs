//! The dashboard as somebody uses it: buttons by what stands on them, fields by their labels. Everything is waited for.

use std::path::PathBuf;

use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};

use crate::driver::{Browser, Screen};
use crate::support::{Broker, eventually};

/// A browser that shows the dashboard of a broker.
pub(crate) struct Page {
    browser: Browser,
    base: String,
}

impl Page {
    /// Shows the login; None where there is no browser.
    pub(crate) async fn open(broker: &Broker, screen: Screen) -> Option<Self> {
        let browser = Browser::start(screen).await?;
        let base = format!("http://{}/", broker.http());
        let page = Self { browser, base };
        page.client().goto(&page.base).await.unwrap();
        Some(page)
    }

    /// The same, logged in.
    pub(crate) async fn logged_in(broker: &Broker, screen: Screen, user: &str, password: &str) -> Option<Self> {
        let page = Self::open(broker, screen).await?;
        page.log_in(user, password).await;
        page.heading("Overview").await;
        Some(page)
    }

    pub(crate) fn client(&self) -> &Client {
        self.browser.client()
    }

    pub(crate) async fn log_in(&self, user: &str, password: &str) {
        self.fill("User", user).await;
        self.fill("Password", password).await;
        self.press("Log in").await;
    }

    /// Goes to a page of the dashboard.
    pub(crate) async fn visit(&self, place: &str, heading: &str) {
        self.script("location.hash = arguments[0]", vec![json!(format!("#/{place}"))]).await;
        self.heading(heading).await;
    }

    pub(crate) async fn heading(&self, text: &str) {
        self.element(&format!("//h1[normalize-space()='{text}']")).await;
    }

    pub(crate) async fn script(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client().execute(script, arguments).await.unwrap()
    }

    /// The first that is displayed of what an XPath finds.
    pub(crate) async fn element(&self, path: &str) -> Element {
        eventually(path, async || self.find(path).await).await
    }

    async fn find(&self, path: &str) -> Option<Element> {
        for element in self.client().find_all(Locator::XPath(path)).await.unwrap() {
            // It may have been replaced meanwhile.
            if element.is_displayed().await.unwrap_or(false) {
                return Some(element);
            }
        }
        None
    }

    /// That text is shown.
    pub(crate) async fn sees(&self, text: &str) {
        self.element(&format!("//*[text()[contains(., '{text}')]]")).await;
    }

    /// Nothing of that kind is shown.
    pub(crate) async fn gone(&self, path: &str) {
        eventually(&format!("the end of {path}"), async || {
            self.find(path).await.is_none().then_some(())
        })
        .await;
    }

    /// Presses a button: of the dialog, if there is one.
    pub(crate) async fn press(&self, text: &str) {
        let button = format!("button[normalize-space()='{text}' and not(@disabled)]");
        let path = format!("//dialog[@open]//{button} | //body[not(.//dialog[@open])]//{button}");
        self.press_at(&path).await;
    }

    /// Presses what an XPath finds, again if it was replaced just then.
    pub(crate) async fn press_at(&self, path: &str) {
        eventually(path, async || self.find(path).await?.click().await.ok()).await;
    }

    /// The input that belongs to a label: of the dialog, if there is one.
    pub(crate) async fn input(&self, label: &str) -> Element {
        let inputs = format!(
            "*[self::input or self::textarea or self::select]
              [@id=//label[normalize-space()='{label}']/@for or ancestor::label[normalize-space(span)='{label}'] or @aria-label='{label}']"
        );
        self.element(&format!("//dialog[@open]//{inputs} | //body[not(.//dialog[@open])]//{inputs}"))
            .await
    }

    /// Writes into a field in place of what stands there.
    pub(crate) async fn fill(&self, label: &str, text: &str) {
        let input = self.input(label).await;
        input.clear().await.unwrap();
        input.send_keys(text).await.unwrap();
    }

    /// The error at a field.
    pub(crate) async fn problem_at(&self, label: &str) -> String {
        let input = self.input(label).await;
        let invalid = async || input.attr("aria-invalid").await.unwrap().filter(|invalid| invalid == "true");
        eventually(&format!("the error at {label}"), invalid).await;
        let described = input.attr("aria-describedby").await.unwrap().unwrap();
        let id = described.split(' ').find(|id| id.ends_with("-problem")).unwrap();
        self.element(&format!("//*[@id='{id}']")).await.text().await.unwrap()
    }

    /// Strikes keys where the focus is.
    pub(crate) async fn strike(&self, keys: &str) {
        self.client().active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    pub(crate) async fn strike_key(&self, key: Key) {
        self.strike(&char::from(key).to_string()).await;
    }

    /// What has the focus: its label, or what stands on it.
    pub(crate) async fn focused(&self) -> String {
        let script = "const e = document.activeElement; return e.labels?.[0]?.textContent.trim() || e.getAttribute('aria-label') || e.textContent.trim();";
        self.script(script, vec![]).await.as_str().unwrap_or_default().to_owned()
    }

    /// Moves the focus forward until it is there.
    pub(crate) async fn tab_to(&self, what: &str) {
        for _ in 0..80 {
            if self.focused().await == what {
                return;
            }
            self.strike_key(Key::Tab).await;
        }
        panic!("the keyboard does not reach {what}");
    }

    /// Keeps a picture below the target directory.
    pub(crate) async fn picture(&self, name: &str) {
        let directory = pictures();
        std::fs::create_dir_all(&directory).unwrap();
        let picture = self.client().screenshot().await.unwrap();
        std::fs::write(directory.join(format!("{name}.png")), picture).unwrap();
    }

    pub(crate) async fn quit(self) {
        self.browser.quit().await;
    }
}

/// Where pictures are kept.
pub(crate) fn pictures() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dashboard")
}
