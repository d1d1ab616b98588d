//! Which operation of the OpenAPI document a request belongs to.

use std::collections::HashMap;

use axum::http::Method;
use utoipa::openapi::OpenApi;

use super::openapi::kafka_rest::is_forwarded;

/// What is forwarded to brokers without being in the document. They refuse it, unless they are newer.
const FORWARDED: &str = "kafkaV3";

/// The ids of all operations.
pub struct Operations {
    ids: HashMap<(Method, String), String>,
}

impl Operations {
    /// Reads the ids from the document.
    pub fn of(document: &OpenApi) -> Self {
        let mut ids = HashMap::new();
        for (path, item) in &document.paths.paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PATCH, &item.patch),
                (Method::PUT, &item.put),
                (Method::DELETE, &item.delete),
            ];
            for (method, operation) in operations {
                if let Some(id) = operation.as_ref().and_then(|operation| operation.operation_id.clone()) {
                    ids.insert((method, path.clone()), id);
                }
            }
        }
        Self { ids }
    }

    /// The id of a request's operation, by the path of its route.
    pub fn id_of(&self, method: &Method, route: &str, path: &str) -> Option<&str> {
        // The route of a client that encodes the colon is the same operation.
        let known = self.ids.get(&(method.clone(), route.replace("%3A", ":"))).map(String::as_str);
        known.or_else(|| is_forwarded(path).then_some(FORWARDED))
    }
}
