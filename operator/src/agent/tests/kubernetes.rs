//! An API server in memory: as much of one as the agent asks for.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

pub const NAMESPACE: &str = "millstream";

#[derive(Default)]
pub struct State {
    /// By plural and name.
    pub objects: BTreeMap<(String, String), Value>,
    /// Every change of a resource KafkaCluster is refused with this status.
    pub refuses: Option<u16>,
    next_uid: u32,
}

#[derive(Clone, Default)]
pub struct Kubernetes(Arc<Mutex<State>>);

impl Kubernetes {
    pub fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.serve(request).await }
        });
        Client::new(service, NAMESPACE)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the state")
    }

    pub fn cluster(&self, name: &str) -> Option<Value> {
        self.state().objects.get(&("kafkaclusters".to_owned(), name.to_owned())).cloned()
    }

    /// Changes a resource as its controller or a person would.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        edit(state.objects.get_mut(&("kafkaclusters".to_owned(), name.to_owned())).expect("it is there"));
    }

    pub fn remove(&self, name: &str) {
        self.state().objects.remove(&("kafkaclusters".to_owned(), name.to_owned()));
    }

    pub fn secret(&self, name: &str) -> Option<Value> {
        self.state().objects.get(&("secrets".to_owned(), name.to_owned())).cloned()
    }

    async fn serve(&self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.expect("a body in memory").to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let parts_of_path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
        let at = parts_of_path.iter().position(|part| *part == "namespaces").expect("a path in a namespace");
        let plural = parts_of_path[at + 2];
        let applies = parts.headers.get("content-type").is_some_and(|kind| kind == "application/apply-patch+yaml");
        let (status, answer) = match (&parts.method, parts_of_path.get(at + 3)) {
            (&Method::GET, None) => self.state().list(plural),
            (method, Some(name)) => self.state().change(method, (plural.to_owned(), (*name).to_owned()), applies, body),
            other => panic!("the agent asked for {other:?}"),
        };
        let answer = Response::builder().status(status).body(Body::from(answer.to_string().into_bytes()));
        Ok(answer.expect("a status and a body"))
    }
}

impl State {
    fn list(&self, plural: &str) -> (u16, Value) {
        let ours = |object: &&Value| object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "millstream-agent";
        let of_kind = self.objects.iter().filter(|((kind, _), _)| kind == plural).map(|(_, object)| object);
        let items: Vec<&Value> = of_kind.filter(ours).collect();
        (200, json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "1" }, "items": items }))
    }

    fn change(&mut self, method: &Method, key: (String, String), applies: bool, body: Value) -> (u16, Value) {
        let refused = self.refuses.filter(|_| key.0 == "kafkaclusters" && *method != Method::GET);
        if let Some(code) = refused {
            return failure(code, "the schema does not like it");
        }
        let found = self.objects.get_mut(&key);
        match (method, found) {
            (&Method::GET, Some(object)) => (200, object.clone()),
            (&Method::PATCH, Some(object)) => {
                let before = object["spec"].clone();
                merge(object, body);
                if object["spec"] != before {
                    let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
                    object["metadata"]["generation"] = json!(generation + 1);
                }
                (200, object.clone())
            }
            (&Method::PATCH, None) if applies => {
                self.next_uid += 1;
                let mut object = body;
                object["metadata"]["uid"] = json!(self.next_uid.to_string());
                object["metadata"]["generation"] = json!(1);
                self.objects.insert(key, object.clone());
                (201, object)
            }
            (&Method::DELETE, Some(object)) => {
                let has_finalizer = object["metadata"]["finalizers"].as_array().is_some_and(|names| !names.is_empty());
                if has_finalizer {
                    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                    return (200, object.clone());
                }
                self.objects.remove(&key);
                (200, json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" }))
            }
            _ => failure(404, "not found"),
        }
    }
}

fn failure(code: u16, message: &str) -> (u16, Value) {
    // The client goes by the word, not by the number.
    let reason = if code == 404 { "NotFound" } else { "" };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "message": message, "reason": reason, "code": code,
    });
    (code, status)
}

/// RFC 7386.
fn merge(into: &mut Value, change: Value) {
    let Value::Object(fields) = change else {
        *into = change;
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in fields {
        match value {
            Value::Null => drop(into.as_object_mut().and_then(|object| object.remove(&name))),
            value => merge(&mut into[&name], value),
        }
    }
}
