//! A blocking HTTP client for the tests: what a person at the target would do, and what a
//! test looks at afterwards. Knows JSON and bearer tokens, and nothing about SCIM.

use std::time::Duration;

use serde_json::Value;

/// A server's base address and the token that opens it.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    /// Without a slash at the end.
    pub(crate) base_url: String,
    /// The bearer token.
    pub(crate) token: String,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body; `null` when it was empty or not JSON.
    pub(crate) body: Value,
}

impl Http {
    /// Sends one request. The error says in words why there was no answer.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime for one request");
        runtime.block_on(async {
            let client = reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(30))
                .build()
                .expect("a plain HTTP client");
            let method = method.parse().expect("a method's name");
            let mut request = client
                .request(method, format!("{}{path}", self.base_url))
                .bearer_auth(&self.token)
                .header("accept", "application/scim+json")
                // Of the sandbox: what is there, whatever it makes of that for its clients.
                .header("x-sandbox-operator", "test");
            if let Some(body) = body {
                request = request
                    .header("content-type", "application/scim+json")
                    .body(body.to_string());
            }
            let answer = request.send().await.map_err(|error| error.to_string())?;
            let status = answer.status().as_u16();
            let bytes = answer.bytes().await.map_err(|error| error.to_string())?;
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            Ok(Answer { status, body })
        })
    }

    /// Sends a request until the server takes it: a slow, throttled or starting server must
    /// not fail a test that only looks. `None` when it does not within about ten seconds.
    pub(crate) fn insist(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Answer> {
        for _ in 0..100 {
            match self.send(method, path, body) {
                Ok(answer) if answer.status != 429 && answer.status < 500 => return Some(answer),
                Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
        None
    }

    /// Every resource of an endpoint such as `/Users`, page by page. `None` when the server
    /// cannot be read.
    pub(crate) fn list(&self, endpoint: &str) -> Option<Vec<Value>> {
        let mut all = Vec::new();
        loop {
            let path = format!("{endpoint}?startIndex={}&count=200", all.len() + 1);
            let answer = self.insist("GET", &path, None)?;
            let total = answer.body["totalResults"].as_u64()?;
            let page = answer.body["Resources"].as_array().cloned();
            let page = page.unwrap_or_default();
            if page.is_empty() {
                return Some(all);
            }
            all.extend(page);
            if all.len() as u64 >= total {
                return Some(all);
            }
        }
    }
}
