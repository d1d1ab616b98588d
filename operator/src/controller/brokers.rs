//! Asking a broker whether it may be restarted. Whatever is not a clear yes is a no.

use std::future::Future;
use std::time::Duration;

use serde::Deserialize;

use super::names::HTTP_PORT;
use super::step::{Answer, Question};

/// A broker that does not answer in this time does not answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The network to the brokers: `address` is the address of a pod. Every answer is as fresh as the question.
pub trait Brokers: Send + Sync + 'static {
    /// Asks one broker.
    fn ask(&self, address: &str, question: Question) -> impl Future<Output = Answer> + Send;
}

/// The brokers' restart probes over HTTP.
#[derive(Clone)]
pub struct HttpBrokers {
    client: reqwest::Client,
}

impl HttpBrokers {
    /// # Errors
    ///
    /// When there is no client, for instance because no TLS provider is installed.
    pub fn new() -> reqwest::Result<Self> {
        // A proxy of the environment is for the outside; redirects have no place here.
        let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).no_proxy();
        Ok(Self { client: client.redirect(reqwest::redirect::Policy::none()).build()? })
    }
}

#[derive(Deserialize)]
struct Probe {
    safe: bool,
    #[serde(default)]
    reasons: Vec<String>,
}

impl Brokers for HttpBrokers {
    async fn ask(&self, address: &str, question: Question) -> Answer {
        let path = match question {
            Question::Before => "pre",
            Question::After => "post",
        };
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let url = format!("http://{host}:{HTTP_PORT}/v1/restart-probe/{path}");
        let sent = self.client.get(url).send().await;
        match read(sent).await {
            Ok(Probe { safe: true, .. }) => Answer::Safe,
            Ok(Probe { reasons, .. }) => Answer::Unsafe { reasons },
            Err(error) => Answer::Unanswered { error: error.without_url().to_string() },
        }
    }
}

async fn read(sent: reqwest::Result<reqwest::Response>) -> reqwest::Result<Probe> {
    sent?.error_for_status()?.json().await
}
