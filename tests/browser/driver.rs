//! Chromium under chromedriver, both from Debian's packages: one of each a test, and one test at a time, because a browser is a heavy guest.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

use crate::support::tool;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A browser with one window.
pub(crate) struct Browser {
    client: Client,
    _driver: Driver,
    _turn: MutexGuard<'static, ()>,
}

/// What the window is like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    Desk,
    Phone,
}

struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        // The browser, if it is still there, is of its group.
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).status();
        let _ = self.0.wait();
    }
}

impl Browser {
    /// A new one, or None if the machine has none and no way to one.
    pub(crate) async fn start(screen: Screen) -> Option<Self> {
        let chromium = tool::find("chromium", "chromium")?;
        let chromedriver = tool::find("chromedriver", "chromium-driver")?;
        let turn = ONE_AT_A_TIME.lock().await;
        let mut driver = Driver(
            Command::new(chromedriver)
                .arg("--port=0")
                .process_group(0)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let output = BufReader::new(driver.0.stdout.take().unwrap());
        let started = output.lines().map_while(Result::ok).find_map(|line| {
            let port = line.split_once("started successfully on port ")?.1;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = started.expect("chromedriver did not say its port");
        let mut options = json!({
            "binary": chromium,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1", "--window-size=1400,900", "--lang=en-US"],
        });
        if screen == Screen::Phone {
            options["mobileEmulation"] =
                json!({"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 1.0, "touch": true, "mobile": true}});
        }
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), options);
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Some(Self {
            client,
            _driver: driver,
            _turn: turn,
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Ends it.
    pub(crate) async fn quit(self) {
        self.client.close().await.unwrap();
    }
}
