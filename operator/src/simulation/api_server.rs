//! An API server in memory: as much of one as the operator asks for, behind the client that it uses.
//!
//! Server-side apply remembers what each manager set and takes away what it sets no more; UIDs, finalizers,
//! generations, the status subresource, label selectors and evictions behave as the real one's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use crate::rights;

/// Groups that a Kubernetes has only with somebody else's resource definitions.
const FOREIGN_GROUPS: &[&str] = &["gateway.networking.k8s.io/", "monitoring.coreos.com/"];

/// Plural, namespace (empty for none) and name.
pub type Key = (String, String, String);

/// Says why an object must not be removed now.
pub type CheckRemoval = fn(&State, &Key, bool) -> Option<String>;

#[derive(Default)]
pub struct State {
    pub objects: BTreeMap<Key, Value>,
    /// What each manager set, by object and subresource.
    applied: BTreeMap<(Key, String, bool), Value>,
    next_number: u64,
    /// Groups of somebody else that are served: group and version, plurals.
    pub groups: BTreeMap<String, Vec<&'static str>>,
    /// Looks at every removal that is asked for, with whether what it owns is to stay, and says why it must not be.
    pub check_removal: Option<CheckRemoval>,
    /// What it said.
    pub violations: Vec<String>,
    /// The operator dies at this many requests from now, before or after the effect of the last one.
    pub dies_at: Option<(u32, bool)>,
    now: String,
    /// The namespace is being deleted: nothing new can be made in it.
    pub ends_namespace: bool,
    /// Nothing is answered while this is true.
    pub silent: bool,
}

#[derive(Clone, Default)]
pub struct ApiServer {
    state: Arc<Mutex<State>>,
    pub died: Arc<Notify>,
}

type Answer = (u16, Value);

impl ApiServer {
    pub fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.serve(request).await }
        });
        Client::new(service, "default")
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the world")
    }

    async fn serve(&self, request: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.expect("a body in memory").to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let dies = self.state().count_down();
        if dies == Some(false) {
            self.die().await;
        }
        if self.state().silent {
            std::future::pending::<()>().await;
        }
        let content_type = parts.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let call = Call::parse(&parts.method, &parts.uri.to_string(), content_type, body);
        let (status, answer) = self.state().answer(call);
        if dies == Some(true) {
            self.die().await;
        }
        let answer = Response::builder().status(status).body(Body::from(answer.to_string().into_bytes()));
        Ok(answer.expect("a status and a body"))
    }

    /// Tells the test, which drops the operator; the answer never comes.
    async fn die(&self) {
        self.died.notify_one();
        std::future::pending::<()>().await;
    }
}

struct Call {
    method: Method,
    group: String,
    plural: String,
    namespace: String,
    name: Option<String>,
    subresource: Option<String>,
    selector: Vec<(String, String)>,
    manager: String,
    applies: bool,
    body: Value,
}

impl Call {
    fn parse(method: &Method, uri: &str, content_type: &str, body: Value) -> Self {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let parameter = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let value = pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
            value.unwrap_or_default().replace("%3D", "=").replace("%2C", ",").replace("%2F", "/")
        };
        let path = path.strip_prefix("http://localhost").unwrap_or(path);
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            other => panic!("no path of an API server: {other:?}"),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            rest => ("", rest),
        };
        let at = |index: usize| rest.get(index).map(|part| (*part).to_owned());
        let selector = parameter("labelSelector");
        let pairs = selector.split(',').filter_map(|pair| pair.split_once('='));
        Self {
            method: method.clone(),
            group,
            plural: at(0).unwrap_or_default(),
            namespace: namespace.to_owned(),
            name: at(1),
            subresource: at(2),
            selector: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            manager: parameter("fieldManager"),
            applies: content_type.contains("apply-patch"),
            body,
        }
    }
}

impl State {
    pub fn set_time(&mut self, now: String) {
        self.now = now;
    }

    pub fn of(&self, plural: &str) -> Vec<Value> {
        self.objects.iter().filter(|((other, _, _), _)| other == plural).map(|(_, object)| object.clone()).collect()
    }

    pub fn find(&mut self, plural: &str, name: &str) -> Option<&mut Value> {
        self.objects.iter_mut().find(|((kind, _, other), _)| kind == plural && other == name).map(|(_, object)| object)
    }

    pub fn create(&mut self, plural: &str, mut object: Value) {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let name = object["metadata"]["name"].as_str().expect("an object has a name").to_owned();
        object["metadata"]["uid"] = json!(format!("uid-{}", self.number()));
        object["metadata"]["creationTimestamp"] = json!(self.now);
        object["metadata"]["generation"] = json!(1);
        object["metadata"]["resourceVersion"] = json!(self.number().to_string());
        self.objects.insert((plural.to_owned(), namespace, name), object);
    }

    /// Removes an object for good, and whatever it owned.
    pub fn remove(&mut self, key: &Key) {
        let Some(object) = self.objects.remove(key) else { return };
        self.applied.retain(|(other, _, _), _| other != key);
        let uid = object["metadata"]["uid"].clone();
        let owned = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == uid))
        };
        let children: Vec<Key> =
            self.objects.iter().filter(|(_, object)| owned(object)).map(|(key, _)| key.clone()).collect();
        for child in children {
            if child.0 == "pods" {
                self.begin_deletion(&child);
            } else {
                self.remove(&child);
            }
        }
    }

    /// A pod ends by its kubelet; what has finalizers ends when they are gone; the rest at once.
    pub fn begin_deletion(&mut self, key: &Key) {
        let now = self.now.clone();
        let Some(object) = self.objects.get_mut(key) else { return };
        let has_finalizers = object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty());
        if key.0 == "pods" || has_finalizers {
            if object["metadata"]["deletionTimestamp"].is_null() {
                object["metadata"]["deletionTimestamp"] = json!(now);
            }
        } else {
            self.remove(key);
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Whether the operator dies at this request, and whether after its effect.
    fn count_down(&mut self) -> Option<bool> {
        let (left, after) = self.dies_at?;
        if left > 1 {
            self.dies_at = Some((left - 1, after));
            return None;
        }
        self.dies_at = None;
        Some(after)
    }

    fn answer(&mut self, call: Call) -> Answer {
        if call.plural.is_empty() {
            return self.group(&call);
        }
        let of_somebody_else = FOREIGN_GROUPS.iter().any(|group| call.group.starts_with(group));
        if of_somebody_else && !self.groups.contains_key(&call.group) {
            return absent();
        }
        if let Some(refused) = self.refuse_without_right(&call) {
            return refused;
        }
        let key = call.name.clone().map(|name| (call.plural.clone(), call.namespace.clone(), name));
        match (call.method.as_str(), key, call.subresource.as_deref()) {
            ("GET", Some(key), None) => self.objects.get(&key).map_or_else(absent, |object| (200, object.clone())),
            ("GET", None, None) => self.list(&call),
            ("POST", Some(key), Some("eviction")) => self.delete(key, &call.body["deleteOptions"]),
            ("POST", None, None) => self.post(call),
            ("PUT", Some(key), None) => self.put(key, call.body),
            ("PATCH", Some(key), subresource) => self.patch(key, call.applies, subresource == Some("status"), call),
            ("DELETE", Some(key), None) => self.delete(key, &call.body),
            other => panic!("the operator has no reason to ask for {other:?}"),
        }
    }

    fn refuse_without_right(&mut self, call: &Call) -> Option<Answer> {
        let verb = match (call.method.as_str(), &call.name) {
            ("GET", Some(_)) => "get",
            ("GET", None) => "list",
            ("POST", _) => "create",
            ("PATCH", _) => "patch",
            ("PUT", _) => "update",
            _ => "delete",
        };
        let resource = call.subresource.iter().fold(call.plural.clone(), |plural, part| format!("{plural}/{part}"));
        let group = call.group.rsplit_once('/').map_or("", |(group, _)| group);
        if rights::allows(group, &resource, verb) {
            return None;
        }
        let refusal = format!("the operator has no right to {verb} {resource} of {group:?}");
        self.violations.push(refusal.clone());
        Some(failure(403, "Forbidden", &refusal))
    }

    fn group(&self, call: &Call) -> Answer {
        let Some(plurals) = self.groups.get(&call.group) else { return absent() };
        let resource = |plural: &&str| json!({ "name": plural, "singularName": "", "namespaced": true, "kind": plural, "verbs": ["get"] });
        let resources: Vec<Value> = plurals.iter().map(resource).collect();
        (200, json!({ "kind": "APIResourceList", "groupVersion": call.group, "resources": resources }))
    }

    fn list(&self, call: &Call) -> Answer {
        let matches = |((plural, namespace, _), object): &(&Key, &Value)| {
            let labels = &object["metadata"]["labels"];
            *plural == call.plural
                && (call.namespace.is_empty() || *namespace == call.namespace)
                && call.selector.iter().all(|(name, value)| labels[name] == json!(value))
        };
        let items: Vec<&Value> = self.objects.iter().filter(matches).map(|(_, object)| object).collect();
        (200, json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": items }))
    }

    fn delete(&mut self, key: Key, options: &Value) -> Answer {
        let Some(object) = self.objects.get(&key) else { return absent() };
        let wanted = &options["preconditions"]["uid"];
        if !wanted.is_null() && *wanted != object["metadata"]["uid"] {
            return failure(409, "Conflict", "the UID in the precondition is another");
        }
        let orphans = options["propagationPolicy"] == json!("Orphan");
        let violation = self.check_removal.and_then(|check| check(self, &key, orphans));
        self.violations.extend(violation);
        if orphans {
            let uid = object["metadata"]["uid"].clone();
            for child in self.objects.values_mut() {
                if let Some(owners) = child["metadata"]["ownerReferences"].as_array_mut() {
                    owners.retain(|owner| owner["uid"] != uid);
                }
            }
        }
        self.begin_deletion(&key);
        (200, json!({ "kind": "Status", "status": "Success" }))
    }

    fn post(&mut self, call: Call) -> Answer {
        let name = call.body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = (call.plural.clone(), call.namespace.clone(), name);
        if self.objects.contains_key(&key) {
            return failure(409, "AlreadyExists", "there is one already");
        }
        let mut object = call.body;
        object["metadata"]["namespace"] = json!(call.namespace);
        self.create(&call.plural, object);
        (201, self.objects[&key].clone())
    }

    fn put(&mut self, key: Key, mut object: Value) -> Answer {
        let Some(before) = self.objects.get(&key) else { return absent() };
        if before["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
            return failure(409, "Conflict", "the object has been modified");
        }
        object["metadata"]["resourceVersion"] = json!(self.number().to_string());
        self.objects.insert(key, object.clone());
        (200, object)
    }

    fn patch(&mut self, key: Key, applies: bool, of_status: bool, call: Call) -> Answer {
        let part = |body: Value| if of_status { json!({ "status": body["status"] }) } else { without_status(body) };
        let body = part(call.body);
        if !self.objects.contains_key(&key) {
            if !applies || of_status {
                return absent();
            }
            if self.ends_namespace {
                return namespace_ends();
            }
            self.create(&key.0, body.clone());
            self.applied.insert((key.clone(), call.manager, of_status), body);
            return (201, self.objects[&key].clone());
        }
        let before = self.objects[&key].clone();
        let version = &body["metadata"]["resourceVersion"];
        if !version.is_null() && *version != before["metadata"]["resourceVersion"] {
            return failure(409, "Conflict", "the object has been modified");
        }
        let mut after = before.clone();
        if applies {
            let owned = (key.clone(), call.manager, of_status);
            if let Some(set_before) = self.applied.get(&owned) {
                take_away(&mut after, set_before, &body);
            }
            self.applied.insert(owned, body.clone());
        }
        put(&mut after, &body);
        let templates = "/spec/volumeClaimTemplates";
        if key.0 == "statefulsets" && before.pointer(templates) != after.pointer(templates) {
            return failure(422, "Invalid", "spec: Forbidden: updates to statefulset spec are forbidden");
        }
        if before != after {
            after["metadata"]["resourceVersion"] = json!(self.number().to_string());
            if before["spec"] != after["spec"] {
                after["metadata"]["generation"] = json!(before["metadata"]["generation"].as_i64().unwrap_or(1) + 1);
            }
        }
        let is_going = !after["metadata"]["deletionTimestamp"].is_null();
        let is_free = after["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        self.objects.insert(key.clone(), after.clone());
        if is_going && is_free && key.0 != "pods" {
            self.remove(&key);
        }
        (200, after)
    }
}

fn without_status(mut body: Value) -> Value {
    body.as_object_mut().map(|fields| fields.remove("status"));
    body
}

/// Puts `more` into `object`; null takes a field away. Lists of objects are merged place by place.
fn put(object: &mut Value, more: &Value) {
    match (object, more) {
        (Value::Object(object), Value::Object(more)) => {
            for (name, value) in more {
                if value.is_null() {
                    object.remove(name);
                } else if name == "selector" {
                    // As the API's own schema has it: a selector is one value.
                    object.insert(name.clone(), value.clone());
                } else {
                    put(object.entry(name.as_str()).or_insert(Value::Object(Map::new())), value);
                }
            }
        }
        (Value::Array(object), Value::Array(more))
            if object.len() == more.len() && more.iter().all(Value::is_object) =>
        {
            object.iter_mut().zip(more).for_each(|(object, more)| put(object, more));
        }
        (object, more) => *object = more.clone(),
    }
}

/// Takes away what a manager set before and sets no more.
fn take_away(object: &mut Value, set_before: &Value, sets_now: &Value) {
    let (Some(object), Some(set_before)) = (object.as_object_mut(), set_before.as_object()) else { return };
    for (name, before) in set_before {
        match (object.get_mut(name), sets_now.get(name)) {
            (Some(_), None) => drop(object.remove(name)),
            (Some(field), Some(now)) => take_away(field, before, now),
            (None, _) => {}
        }
    }
}

fn namespace_ends() -> Answer {
    let (code, mut status) = failure(403, "Forbidden", "unable to create new content because it is being terminated");
    status["details"] = json!({ "causes": [{ "reason": "NamespaceTerminating", "message": "", "field": "" }] });
    (code, status)
}

fn absent() -> Answer {
    failure(404, "NotFound", "there is no such object")
}

fn failure(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code,
    });
    (code, status)
}
