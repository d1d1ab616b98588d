//! Rules of client quotas: for whom they hold and which rates are rates.

use std::collections::BTreeSet;
use std::str::FromStr;

use millstream_api::ids::ServiceAccountId;
use millstream_api::plan;
use millstream_api::rest::kafka_quotas::DEFAULT_PRINCIPAL;

/// Principals of one quota at most.
pub const MAX_PRINCIPALS: usize = 1_000;

/// Whom a quota holds for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// Everybody without a quota of their own.
    Default,
    /// One service account.
    ServiceAccount(ServiceAccountId),
}

/// A text that is not a principal of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a principal must be the id of a service account, sa-…, or {DEFAULT_PRINCIPAL}")]
pub struct NotAPrincipal;

impl FromStr for Principal {
    type Err = NotAPrincipal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == DEFAULT_PRINCIPAL {
            return Ok(Self::Default);
        }
        text.parse().map(Self::ServiceAccount).map_err(|_| NotAPrincipal)
    }
}

impl Principal {
    /// Its id, as in JSON.
    pub fn id(&self) -> &str {
        match self {
            Self::Default => DEFAULT_PRINCIPAL,
            Self::ServiceAccount(id) => id.as_str(),
        }
    }

    /// As brokers know it.
    pub fn in_config(&self) -> String {
        match self {
            Self::Default => DEFAULT_PRINCIPAL.to_owned(),
            Self::ServiceAccount(id) => format!("User:{id}"),
        }
    }
}

/// Why a quota was refused. The number is that of a principal in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientQuotaError {
    /// A list of principals that is empty or too long.
    #[error("spec.principals must have 1 to {MAX_PRINCIPALS} entries")]
    NumberOfPrincipals,
    /// Not a principal.
    #[error("spec.principals: {NotAPrincipal}")]
    Principal(usize),
    /// A principal that is there twice.
    #[error("spec.principals must name each principal once")]
    Repeated(usize),
    /// Not a rate.
    #[error("{field} must be a string with a whole number of bytes per second from 1 to {}", i64::MAX)]
    Rate {
        /// The field, as a path.
        field: &'static str,
    },
}

/// Reads the ids of principals.
pub fn parse_principals<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> Result<Vec<Principal>, ClientQuotaError> {
    if ids.len() == 0 || ids.len() > MAX_PRINCIPALS {
        return Err(ClientQuotaError::NumberOfPrincipals);
    }
    let mut principals = Vec::with_capacity(ids.len());
    let mut seen = BTreeSet::new();
    for (number, id) in ids.enumerate() {
        let principal: Principal = id.parse().map_err(|_| ClientQuotaError::Principal(number))?;
        if !seen.insert(principal.clone()) {
            return Err(ClientQuotaError::Repeated(number));
        }
        principals.push(principal);
    }
    Ok(principals)
}

/// Reads a rate in bytes per second.
pub fn parse_rate(field: &'static str, text: &str) -> Result<i64, ClientQuotaError> {
    let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let rate = text.parse().ok().filter(|rate| digits_only && *rate > 0);
    rate.ok_or(ClientQuotaError::Rate { field })
}

/// Whether clusters of a kind have client quotas.
pub fn is_offered(kind: &str) -> bool {
    plan::PLANS.into_iter().any(|plan| plan.kind.as_str() == kind && plan.client_quotas)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(ids: &[&str]) -> Result<Vec<Principal>, ClientQuotaError> {
        parse_principals(ids.iter().copied())
    }

    #[test]
    fn principals_are_service_accounts_or_everybody_else_each_once() {
        let account = Principal::ServiceAccount("sa-a1".parse().expect("an id"));
        assert_eq!(parse(&["sa-a1", "<default>"]), Ok(vec![account, Principal::Default]));
        assert_eq!(parse(&[]), Err(ClientQuotaError::NumberOfPrincipals));
        assert_eq!(parse(&["sa-a1"; MAX_PRINCIPALS + 1]), Err(ClientQuotaError::NumberOfPrincipals));
        for text in ["", "u-a1", "User:sa-a1", "*", "default", "pool-1", "sa-A"] {
            assert_eq!(parse(&["sa-a1", text]), Err(ClientQuotaError::Principal(1)), "{text:?}");
        }
        assert_eq!(parse(&["sa-a1", "sa-b1", "sa-a1"]), Err(ClientQuotaError::Repeated(2)));
    }

    #[test]
    fn a_rate_is_a_positive_number_of_64_bits() {
        assert_eq!(parse_rate("f", "100"), Ok(100));
        assert_eq!(parse_rate("f", "9223372036854775807"), Ok(i64::MAX));
        for text in ["", "0", "-1", "+1", "1.5", "1e3", " 1", "9223372036854775808", "ten", "１"] {
            assert_eq!(parse_rate("f", text), Err(ClientQuotaError::Rate { field: "f" }), "{text:?}");
        }
    }

    #[test]
    fn only_dedicated_clusters_have_client_quotas() {
        assert_eq!(["Basic", "Standard", "Dedicated", "?"].map(is_offered), [false, false, true, false]);
    }
}
