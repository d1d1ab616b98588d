//! ListGroups: the groups of the tenant, by state and type if wanted.

use std::borrow::Cow;

use millstream_api::role::{KafkaResource, Operation};
use millstream_protocol::messages::list_groups_request::ListGroupsRequest;
use millstream_protocol::messages::list_groups_response::{ListGroupsResponse, ListedGroup};

use super::RequestContext;

/// The only type of group so far.
const CLASSIC: &str = "classic";

pub(super) async fn handle(ctx: &RequestContext<'_>, request: ListGroupsRequest<'_>) -> ListGroupsResponse<'static> {
    let listings = match ctx.broker.groups.list(&ctx.authenticated.credential.tenant) {
        Ok(listings) => listings,
        Err(error) => return ListGroupsResponse { error_code: error.code().code(), ..Default::default() },
    };
    let has_wanted_type = is_wanted(CLASSIC, &request.types_filter);
    let sees_all = ctx.allows_on_cluster(Operation::Describe);
    let wanted = listings
        .into_iter()
        .filter(|listing| sees_all || ctx.allows(Operation::Describe, KafkaResource::Group, &listing.group_id))
        .filter(|listing| has_wanted_type && is_wanted(listing.state.name(), &request.states_filter));
    let groups = wanted.map(|listing| ListedGroup {
        group_id: listing.group_id.into(),
        protocol_type: listing.protocol_type.unwrap_or_default().into(),
        group_state: listing.state.name().into(),
        group_type: CLASSIC.into(),
    });
    ListGroupsResponse { groups: groups.collect(), ..ListGroupsResponse::default() }
}

/// An empty filter wants everything; case does not matter, as in Kafka.
fn is_wanted(name: &str, filter: &[Cow<'_, str>]) -> bool {
    filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::is_wanted;

    #[test]
    fn an_empty_filter_wants_everything_and_case_does_not_matter() {
        assert!(is_wanted("Stable", &[]));
        assert!(is_wanted("Stable", &["empty".into(), "stable".into()]));
        assert!(!is_wanted("Stable", &["Empty".into()]));
    }
}
