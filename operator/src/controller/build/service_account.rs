//! The ServiceAccount of the brokers: it may do nothing, and its token is not mounted.

use kube::core::DynamicObject;
use serde_json::json;

use super::Inputs;
use crate::controller::kinds::Kind;
use crate::crd::object_store::ServiceAccountRef;

/// Absent when the spec names one that the cloud knows.
pub fn build(inputs: &Inputs<'_>) -> Option<DynamicObject> {
    let body = json!({ "automountServiceAccountToken": false });
    given(inputs).is_none().then(|| inputs.object(Kind::ServiceAccount, inputs.names.cluster(), body))
}

/// The name of the ServiceAccount that pods run as.
pub fn name<'a>(inputs: &Inputs<'a>) -> &'a str {
    given(inputs).map_or(inputs.names.cluster(), |account| &account.name)
}

fn given<'a>(inputs: &Inputs<'a>) -> Option<&'a ServiceAccountRef> {
    inputs.cluster.spec.object_store.as_ref()?.credentials.service_account.as_ref()
}
