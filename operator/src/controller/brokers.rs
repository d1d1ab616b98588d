//! Asking a broker whether it may be restarted. Whatever is not a clear yes is a no.

use std::future::Future;
use std::time::Duration;

use http::StatusCode;
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
    port: u16,
}

impl HttpBrokers {
    /// # Errors
    ///
    /// When there is no client, for instance because no TLS provider is installed.
    pub fn new() -> reqwest::Result<Self> {
        Self::at_port(HTTP_PORT)
    }

    fn at_port(port: u16) -> reqwest::Result<Self> {
        // A proxy of the environment is for the outside; redirects have no place here.
        let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).no_proxy();
        Ok(Self { client: client.redirect(reqwest::redirect::Policy::none()).build()?, port })
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
        let url = format!("http://{host}:{}/v1/restart-probe/{path}", self.port);
        match self.read(&url).await {
            Ok((StatusCode::OK, Probe { safe: true, .. })) => Answer::Safe,
            Ok((_, Probe { safe: false, reasons })) => Answer::Unsafe { reasons },
            Ok((status, Probe { safe: true, .. })) => {
                Answer::Unanswered { error: format!("it says yes with {status}") }
            }
            Err(error) => Answer::Unanswered { error: error.without_url().to_string() },
        }
    }
}

impl HttpBrokers {
    /// A broker says no with a status of an error, and its reasons in the body.
    async fn read(&self, url: &str) -> reqwest::Result<(StatusCode, Probe)> {
        let response = self.client.get(url).send().await?;
        Ok((response.status(), response.json().await?))
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::response::IntoResponse;
    use axum::routing::get;

    use super::*;

    /// What the operator understands of a broker that answers like this.
    async fn check(answer: impl IntoResponse + Clone + Send + Sync + 'static, expected: impl FnOnce(&Answer) -> bool) {
        // Another test may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().route("/v1/restart-probe/pre", get(move || std::future::ready(answer.clone())));
        let server = tokio::spawn(axum::serve(listener, router).into_future());
        let answer = HttpBrokers::at_port(port).unwrap().ask("127.0.0.1", Question::Before).await;
        server.abort();
        assert!(expected(&answer), "{answer:?}");
    }

    #[tokio::test]
    async fn a_broker_says_yes_or_no_with_its_reasons() {
        check(r#"{"safe":true,"reasons":["one broker"]}"#, |answer| *answer == Answer::Safe).await;
        let no = Answer::Unsafe { reasons: vec!["it recovers".to_owned()] };
        let answered_no = |answer: &Answer| *answer == no;
        check(r#"{"safe":false,"reasons":["it recovers"]}"#, answered_no).await;
        let refused = (StatusCode::SERVICE_UNAVAILABLE, r#"{"safe":false,"reasons":["it recovers"]}"#);
        check(refused, answered_no).await;
    }

    #[tokio::test]
    async fn whatever_is_not_a_clear_yes_is_no_yes() {
        let unanswered = |answer: &Answer| matches!(answer, Answer::Unanswered { error } if !error.is_empty());
        check("yes", unanswered).await;
        check("{}", unanswered).await;
        check(r#"{"safe":"true"}"#, unanswered).await;
        check((StatusCode::SERVICE_UNAVAILABLE, r#"{"safe":true}"#), unanswered).await;
        check((StatusCode::NOT_FOUND, "there is no such path"), unanswered).await;
        check((StatusCode::FOUND, [("location", "/elsewhere")], r#"{"safe":false}"#), |answer| {
            !matches!(answer, Answer::Safe)
        })
        .await;
    }
}
