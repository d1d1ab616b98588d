//! URLs and resource names of what is in a cluster.

use std::fmt::Write;
use std::sync::Arc;

use millstream_api::ids::LogicalClusterId;
use millstream_api::kafka_rest::envelope::{Metadata, Related};

/// Makes links into one cluster.
#[derive(Clone)]
pub(super) struct Links {
    /// `http://host/kafka/v3/clusters`
    clusters: Arc<str>,
    tenant: LogicalClusterId,
}

impl Links {
    pub(super) fn new(base_url: &str, tenant: &LogicalClusterId) -> Self {
        Self { clusters: format!("{base_url}/kafka/v3/clusters").into(), tenant: tenant.clone() }
    }

    /// The collection of clusters.
    pub(super) fn clusters(&self) -> Metadata {
        Metadata { self_link: self.clusters.to_string(), resource_name: None }
    }

    /// The URL of what is at these path segments in the cluster.
    pub(super) fn url(&self, segments: &[&str]) -> String {
        let mut url = format!("{}/{}", self.clusters, self.tenant);
        for segment in segments {
            url.push('/');
            encode_segment(segment, &mut url);
        }
        url
    }

    /// The URL of what is at these path segments with these query parameters.
    pub(super) fn url_with_query(&self, segments: &[&str], parameters: &[(&str, &str)]) -> String {
        let mut url = self.url(segments);
        for (index, (name, value)) in parameters.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            encode_segment(value, &mut url);
        }
        url
    }

    /// A link to what is at these path segments.
    pub(super) fn related(&self, segments: &[&str]) -> Related {
        Related { related: self.url(segments) }
    }

    /// Link and resource name of a resource. `name` is pairs of kind and name below the cluster.
    pub(super) fn metadata(&self, segments: &[&str], name: &[(&str, &str)]) -> Metadata {
        let mut resource_name = format!("crn:///kafka={}", self.tenant);
        for (kind, name) in name {
            resource_name.push('/');
            resource_name.push_str(kind);
            if !name.is_empty() {
                resource_name.push('=');
                encode_segment(name, &mut resource_name);
            }
        }
        Metadata { self_link: self.url(segments), resource_name: Some(resource_name) }
    }

    /// Link of a collection.
    pub(super) fn collection(&self, segments: &[&str]) -> Metadata {
        Metadata { self_link: self.url(segments), resource_name: None }
    }
}

/// Percent-encodes everything that is not unreserved in RFC 3986.
fn encode_segment(segment: &str, url: &mut String) {
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(byte));
        } else {
            write!(url, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_encoded() {
        let links = Links::new("http://host", &"lkc-a".parse().unwrap());
        let url = links.url(&["consumer-groups", "a/b é"]);
        assert_eq!(url, "http://host/kafka/v3/clusters/lkc-a/consumer-groups/a%2Fb%20%C3%A9");
        let metadata = links.metadata(&["topics", "t"], &[("topic", "t"), ("partition", "1")]);
        assert_eq!(metadata.resource_name.unwrap(), "crn:///kafka=lkc-a/topic=t/partition=1");
    }
}
