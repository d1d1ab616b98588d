//! Identifiers. A prefix is part of the type: `LogicalClusterId` parses only `lkc-…`.
//!
//! Every id parses strictly (prefix, alphabet, length) and prints as it was parsed. New ids come from random
//! bytes that the caller supplies, so that nothing here reaches for ambient randomness.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Characters after the prefix of an id; 32 of them, so that five bits choose one.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of an API key id; 32 of them.
const KEY_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The longest suffix that is accepted. Ids may grow later: their length is not part of the contract.
const MAX_SUFFIX_CHARS: usize = 32;
/// Characters of a new id after its prefix: 8 × 5 bits.
const NEW_SUFFIX_CHARS: usize = 8;
/// Characters of an API key id.
const API_KEY_CHARS: usize = 16;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid id: expected {expected}")]
pub struct ParseIdError {
    /// The text, cut to a length that is safe to print.
    pub text: String,
    /// What it should have looked like.
    pub expected: &'static str,
}

impl ParseIdError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(64).collect(), expected }
    }
}

fn suffix_from(random: [u8; NEW_SUFFIX_CHARS]) -> String {
    random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The prefix of this kind of id, with its hyphen.
            pub const PREFIX: &'static str = $prefix;

            /// A new id out of eight random bytes.
            pub fn from_random(random: [u8; NEW_SUFFIX_CHARS]) -> Self {
                Self(format!("{}{}", $prefix, suffix_from(random)).into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let suffix = text.strip_prefix($prefix).unwrap_or("");
                let well_formed = !suffix.is_empty()
                    && suffix.len() <= MAX_SUFFIX_CHARS
                    && suffix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
                if !well_formed {
                    return Err(ParseIdError::new(text, $expected));
                }
                Ok(Self(text.into()))
            }
        }

        impl_text_form!($name);
    };
}

macro_rules! impl_text_form {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

prefixed_id!(
    /// An environment: a grouping of clusters inside an organization.
    EnvironmentId, "env-", "env- and lower-case letters or digits"
);
prefixed_id!(
    /// A logical cluster: what a user creates and sees, and a tenant seen from a broker.
    LogicalClusterId, "lkc-", "lkc- and lower-case letters or digits"
);
prefixed_id!(
    /// A physical cluster: brokers that host many logical clusters.
    PhysicalClusterId, "pkc-", "pkc- and lower-case letters or digits"
);
prefixed_id!(
    /// A service account.
    ServiceAccountId, "sa-", "sa- and lower-case letters or digits"
);
prefixed_id!(
    /// A human user.
    UserId, "u-", "u- and lower-case letters or digits"
);

prefixed_id!(
    /// A role binding.
    RoleBindingId, "rb-", "rb- and lower-case letters or digits"
);
prefixed_id!(
    /// A client quota.
    ClientQuotaId, "cq-", "cq- and lower-case letters or digits"
);

/// The id of an API key: 16 upper-case letters or digits. Not a secret; it is the SASL user name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKeyId(Box<str>);

impl ApiKeyId {
    /// A new id out of sixteen random bytes.
    pub fn from_random(random: [u8; API_KEY_CHARS]) -> Self {
        let text: String = random.iter().map(|byte| char::from(KEY_ALPHABET[usize::from(byte & 31)])).collect();
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApiKeyId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed =
            text.len() == API_KEY_CHARS && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !well_formed {
            return Err(ParseIdError::new(text, "16 upper-case letters or digits"));
        }
        Ok(Self(text.into()))
    }
}

impl_text_form!(ApiKeyId);

/// An organization: the paying account, the outermost wall between tenants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrganizationId(pub uuid::Uuid);

impl FromStr for OrganizationId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = uuid::Uuid::try_parse(text);
        parsed.map(Self).map_err(|_| ParseIdError::new(text, "a UUID"))
    }
}

impl fmt::Display for OrganizationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for OrganizationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Who acts: the owner of an API key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// A human user, `User:u-…`.
    User(UserId),
    /// A service account, `User:sa-…`.
    ServiceAccount(ServiceAccountId),
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(formatter, "User:{id}"),
            Self::ServiceAccount(id) => write!(formatter, "User:{id}"),
        }
    }
}

impl FromStr for Principal {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || ParseIdError::new(text, "User:sa-… or User:u-…");
        let id = text.strip_prefix("User:").ok_or_else(unknown)?;
        if id.starts_with(ServiceAccountId::PREFIX) {
            return id.parse().map(Self::ServiceAccount);
        }
        if id.starts_with(UserId::PREFIX) {
            return id.parse().map(Self::User);
        }
        Err(unknown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_parses_only_with_its_own_prefix() {
        assert!("lkc-abc12".parse::<LogicalClusterId>().is_ok());
        for wrong in ["pkc-abc12", "lkc-", "lkc", "", "LKC-abc", "lkc-ABC", "lkc-a/b", "lkc-a.b", " lkc-abc", "lkc-é"]
        {
            assert!(wrong.parse::<LogicalClusterId>().is_err(), "{wrong:?} was accepted");
        }
        let long = format!("lkc-{}", "a".repeat(MAX_SUFFIX_CHARS + 1));
        assert!(long.parse::<LogicalClusterId>().is_err());
    }

    #[test]
    fn a_new_id_parses() {
        let id = LogicalClusterId::from_random([0, 255, 31, 32, 7, 8, 9, 10]);
        assert_eq!(id.to_string().parse::<LogicalClusterId>(), Ok(id));
        let key = ApiKeyId::from_random([7; 16]);
        assert_eq!(key.to_string().parse::<ApiKeyId>(), Ok(key));
    }

    #[test]
    fn a_principal_survives_its_text_form() {
        for text in ["User:sa-abc123", "User:u-xyz"] {
            assert_eq!(text.parse::<Principal>().map(|p| p.to_string()).as_deref(), Ok(text));
        }
        for wrong in ["User:", "sa-abc", "User:lkc-abc", "Group:sa-abc", "User:sa-"] {
            assert!(wrong.parse::<Principal>().is_err(), "{wrong:?} was accepted");
        }
    }

    #[test]
    fn an_error_never_repeats_a_long_text() {
        let error = "x".repeat(10_000).parse::<LogicalClusterId>().expect_err("no prefix");
        assert!(error.to_string().len() < 200);
    }
}
