//! A headless Chromium, driven over `WebDriver`, that can reach only this machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::programs::skip;

const TIMEOUT: Duration = Duration::from_mins(1);

/// The key under which `WebDriver` passes element references.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Allows one browser at a time: each one is a dozen processes.
static TURN: Mutex<()> = Mutex::const_new(());

pub struct Browser {
    http: reqwest::Client,
    driver: Child,
    port: u16,
    session: String,
    /// Removed with the browser.
    profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts a browser. None, with the reason printed, if Chromium or its driver is not installed.
    pub async fn start() -> Option<Self> {
        let Some((chromium, driver)) = installed() else {
            skip("chromium and chromedriver are not both installed, so nothing was tested in a browser");
            return None;
        };
        let turn = TURN.lock().await;
        let (driver, port) =
            tokio::task::spawn_blocking(move || start_driver(&driver)).await.expect("chromedriver starts");
        let profile = tempfile::tempdir().expect("a profile directory");
        let mut browser = Self {
            http: reqwest::Client::builder().no_proxy().timeout(TIMEOUT * 2).build().expect("an HTTP client"),
            driver,
            port,
            session: String::new(),
            profile,
            _turn: turn,
        };
        let response = succeeded(browser.try_post("/session", capabilities(&chromium, browser.profile.path())).await);
        response["sessionId"].as_str().expect("a session id").clone_into(&mut browser.session);
        Some(browser)
    }

    pub async fn open(&self, url: &str) {
        self.command("/url", json!({ "url": url })).await;
    }

    pub async fn resize(&self, width: u32, height: u32) {
        self.command("/window/rect", json!({ "width": width, "height": height })).await;
    }

    /// Shows the pages as a phone of this width and height does: a window is never narrower than 500 pixels.
    pub async fn show_as_phone(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": true });
        self.command("/goog/cdp/execute", json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": metrics }))
            .await;
    }

    pub async fn reload(&self) {
        self.command("/refresh", json!({})).await;
    }

    /// Runs a script in each page that is opened from now on, before the scripts of the page.
    pub async fn run_in_new_pages(&self, script: &str) {
        let params = json!({ "source": script });
        let command = json!({ "cmd": "Page.addScriptToEvaluateOnNewDocument", "params": params });
        self.command("/goog/cdp/execute", command).await;
    }

    /// Runs the body of a function in the page and returns its result.
    pub async fn run(&self, script: &str) -> Value {
        self.command("/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Clicks on an element as a user would: it must be visible. Clicks again if the page moved the element away meanwhile.
    pub async fn click(&self, css: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            let element = self.find(css).await;
            // A click on an option is an event of its list.
            let aim = "const target = arguments[0].closest('select') ?? arguments[0]; window.hasHit = false; \
                       target.addEventListener('click', () => { window.hasHit = true; }, { capture: true, once: true });";
            let aimed = json!({ "script": aim, "args": [{ ELEMENT: element }] });
            // The element may be gone by now, or another one may lie above it.
            let is_clicked = self.try_command("/execute/sync", aimed).await.is_ok()
                && self.try_command(&format!("/element/{element}/click"), json!({})).await.is_ok();
            // A click that leads to another page leaves nothing behind.
            if is_clicked && self.run("return window.hasHit ?? true").await == true {
                return;
            }
        }
        panic!("no click reaches {css}; console: {:#?}", self.console().await);
    }

    /// Types into a field.
    pub async fn write(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.command(&format!("/element/{element}/value"), json!({ "text": text })).await;
    }

    /// Waits until the element shows the text, and returns the element's whole text.
    pub async fn see(&self, css: &str, text: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText ?? ''", json!(css));
        let mut shown = String::new();
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            self.run(&script).await.as_str().unwrap_or_default().clone_into(&mut shown);
            if shown.contains(text) {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{css} did not show {text:?}; it shows: {shown}\nconsole: {:#?}", self.console().await);
    }

    /// Waits until the body of a function returns `true` in the page.
    pub async fn see_true(&self, script: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while self.run(script).await != true {
            assert!(Instant::now() < deadline, "{script}; console: {:#?}", self.console().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Console errors in the page since the last call: policy violations, missing files, failed requests, exceptions.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.command("/se/log", json!({ "type": "browser" })).await;
        let severe = entries.as_array().into_iter().flatten().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    /// Every URL that the page loaded, including its own.
    pub async fn loaded(&self) -> Vec<String> {
        let names = self
            .run("return performance.getEntries().map(entry => entry.name).filter(name => name.includes(':'))")
            .await;
        names.as_array().expect("a list").iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// Waits for the element and returns its `WebDriver` reference.
    async fn find(&self, css: &str) -> String {
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            let found = self.command("/elements", json!({ "using": "css selector", "value": css })).await;
            for element in found.as_array().into_iter().flatten() {
                let element = element[ELEMENT].as_str().expect("an element reference");
                if self.is_displayed(element).await {
                    return element.to_owned();
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no visible element matches {css}; console: {:#?}", self.console().await);
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        succeeded(self.try_command(path, body).await)
    }

    /// Runs a command. The error is that of `WebDriver`.
    async fn try_command(&self, path: &str, body: Value) -> Result<Value, Value> {
        self.try_post(&format!("/session/{}{path}", self.session), body).await
    }

    /// Returns whether an element is visible. One that is gone is not.
    async fn is_displayed(&self, element: &str) -> bool {
        let url = format!("http://127.0.0.1:{}/session/{}/element/{element}/displayed", self.port, self.session);
        value(self.http.get(url).send().await).await.is_ok_and(|is_displayed| is_displayed == true)
    }

    async fn try_post(&self, path: &str, body: Value) -> Result<Value, Value> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        value(self.http.post(url).json(&body).send().await).await
    }
}

impl Drop for Browser {
    /// Ends the session first, so that the driver also stops Chromium; killing the driver would leave Chromium running.
    fn drop(&mut self) {
        if !self.session.is_empty()
            && let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port))
        {
            let _ = stream.set_read_timeout(Some(TIMEOUT));
            let _ = write!(
                stream,
                "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
                self.session
            );
            let _ = stream.read(&mut [0; 16]);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn capabilities(chromium: &Path, profile: &Path) -> Value {
    json!({ "capabilities": { "alwaysMatch": {
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": {
            "binary": chromium,
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
                "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
                "--window-size=1280,800", format!("--user-data-dir={}", profile.display()),
            ],
        },
    } } })
}

/// The paths of Chromium and its driver.
fn installed() -> Option<(PathBuf, PathBuf)> {
    let folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    let chromium = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(find)?;
    Some((chromium, find("chromedriver")?))
}

/// Starts the driver on a free port, which it prints.
fn start_driver(driver: &Path) -> (Child, u16) {
    let mut child = Command::new(driver)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver starts");
    let lines = BufReader::new(child.stdout.take().expect("chromedriver's output")).lines();
    let port = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok());
    (child, port.expect("chromedriver prints its port"))
}

/// The value of a response, or its error.
async fn value(response: reqwest::Result<reqwest::Response>) -> Result<Value, Value> {
    let mut response: Value = response.expect("chromedriver responds").json().await.expect("JSON");
    let value = response["value"].take();
    if value.get("error").is_none() { Ok(value) } else { Err(value) }
}

fn succeeded(outcome: Result<Value, Value>) -> Value {
    outcome.unwrap_or_else(|error| panic!("WebDriver: {error:#}"))
}
