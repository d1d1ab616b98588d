//! Grants against a naive reading of the rules: for each question, look at every rule.

use proptest::prelude::*;

use super::*;

const OPERATIONS: [Operation; 9] = [
    Operation::Read,
    Operation::Write,
    Operation::Create,
    Operation::Delete,
    Operation::Alter,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
    Operation::IdempotentWrite,
];

#[derive(Debug, Clone)]
struct Rule {
    resource: KafkaResource,
    pattern: Pattern,
    /// `None` for every operation.
    operation: Option<Operation>,
    denies: bool,
}

#[derive(Debug, Clone)]
enum Pattern {
    Every,
    Exactly(String),
    BeginningWith(String),
}

impl Rule {
    fn matches(&self, resource: KafkaResource, name: &str) -> bool {
        let matches_name = match &self.pattern {
            Pattern::Every => true,
            Pattern::Exactly(exact) => exact == name,
            Pattern::BeginningWith(prefix) => name.starts_with(prefix.as_str()),
        };
        self.resource == resource && matches_name
    }

    fn names(&self, operation: Operation) -> bool {
        self.operation.is_none_or(|own| own == operation)
    }
}

/// What the definition of ACLs says, with no thought for speed.
fn expected(rules: &[Rule], operation: Operation, resource: KafkaResource, name: &str) -> bool {
    let matching = || rules.iter().filter(|rule| rule.matches(resource, name));
    let is_denied = matching().any(|rule| rule.denies && rule.names(operation));
    let sufficient: &[Operation] = match operation {
        Operation::Describe => {
            &[Operation::Describe, Operation::Read, Operation::Write, Operation::Delete, Operation::Alter]
        }
        Operation::DescribeConfigs => &[Operation::DescribeConfigs, Operation::AlterConfigs],
        _ => &[operation],
    };
    let is_allowed = matching().any(|rule| !rule.denies && sufficient.iter().any(|sufficient| rule.names(*sufficient)));
    is_allowed && !is_denied
}

fn grants_of(rules: &[Rule]) -> Grants {
    let mut builder = GrantsBuilder::default();
    for rule in rules {
        let names = match &rule.pattern {
            Pattern::Every => Names::Every,
            Pattern::Exactly(exact) => Names::Exactly(exact),
            Pattern::BeginningWith(prefix) => Names::BeginningWith(prefix),
        };
        let operations = rule.operation.map_or(Operations::ALL, |operation| Operations::of(&[operation]));
        if rule.denies {
            builder.deny(rule.resource, names, operations);
        } else {
            builder.allow(rule.resource, names, operations);
        }
    }
    builder.build()
}

fn resource() -> impl Strategy<Value = KafkaResource> {
    prop::sample::select(RESOURCES.to_vec())
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let pattern = prop_oneof![
        Just(Pattern::Every),
        "[ab]{1,3}".prop_map(Pattern::Exactly),
        "[ab]{0,3}".prop_map(Pattern::BeginningWith),
    ];
    let operation = prop::option::weighted(0.8, prop::sample::select(OPERATIONS.to_vec()));
    let rule = (resource(), pattern, operation, prop::bool::weighted(0.3))
        .prop_map(|(resource, pattern, operation, denies)| Rule { resource, pattern, operation, denies });
    prop::collection::vec(rule, 0..10)
}

proptest! {
    #[test]
    fn grants_are_what_the_rules_say(rules in rules(), names in prop::collection::vec("[ab]{1,4}", 8)) {
        let grants = grants_of(&rules);
        for resource in RESOURCES {
            for name in &names {
                let allowed = OPERATIONS.into_iter().filter(|operation| grants.allows(*operation, resource, name));
                let should = OPERATIONS.into_iter().filter(|operation| expected(&rules, *operation, resource, name));
                prop_assert_eq!(allowed.collect::<Vec<_>>(), should.collect::<Vec<_>>(), "{:?} {}", resource, name);
            }
        }
    }

    /// Names up to one letter longer than any pattern, and with a letter that no pattern has, are all kinds there are.
    #[test]
    fn somewhere_is_any_name(rules in rules()) {
        let grants = grants_of(&rules);
        let mut names = vec![String::new()];
        for length in 0..3 {
            let longer = names.iter().filter(|name| name.len() == length);
            names.extend(longer.flat_map(|name| [format!("{name}a"), format!("{name}b")]).collect::<Vec<_>>());
        }
        names.extend(names.iter().map(|name| format!("{name}c")).collect::<Vec<_>>());
        names.remove(0);
        for resource in RESOURCES {
            for operation in OPERATIONS {
                let is_anywhere = names.iter().any(|name| expected(&rules, operation, resource, name));
                prop_assert_eq!(grants.allows_somewhere(operation, resource), is_anywhere, "{:?}", operation);
            }
        }
    }
}

#[test]
fn nothing_is_allowed_without_a_rule() {
    for resource in RESOURCES {
        assert_eq!(Grants::none().operations(resource, "a"), Operations::NONE);
    }
}
