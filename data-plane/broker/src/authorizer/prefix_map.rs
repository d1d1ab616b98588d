//! Names that begin with one of many prefixes: finds the longest in logarithmic time.
//!
//! ```text
//! sorted       a   ab   abc   abd   b
//! parent       -   0    1     1     -
//! ```
//! The last prefix that sorts at or before a name is either a prefix of it, or one of its parents is, or none is: what
//! sorts between a prefix and a name that begins with it begins with it, too.

/// Values by prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PrefixMap<T> {
    entries: Vec<Entry<T>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry<T> {
    prefix: Box<str>,
    /// The next shorter prefix that this one begins with.
    parent: Option<usize>,
    value: T,
}

impl<T> PrefixMap<T> {
    /// Makes one of prefixes in ascending order. `nest` makes the value of a prefix that begins with another one.
    pub(super) fn new(sorted: impl Iterator<Item = (Box<str>, T)>, nest: impl Fn(&T, T) -> T) -> Self {
        let mut entries: Vec<Entry<T>> = Vec::new();
        for (prefix, value) in sorted {
            let mut parent = entries.len().checked_sub(1);
            while let Some(index) = parent
                && !prefix.starts_with(&*entries[index].prefix)
            {
                parent = entries[index].parent;
            }
            let value = match parent {
                Some(index) => nest(&entries[index].value, value),
                None => value,
            };
            entries.push(Entry { prefix, parent, value });
        }
        Self { entries }
    }

    /// The value of the longest prefix of a name.
    pub(super) fn longest(&self, name: &str) -> Option<&T> {
        let mut candidate = self.entries.partition_point(|entry| *entry.prefix <= *name).checked_sub(1);
        while let Some(index) = candidate {
            let entry = &self.entries[index];
            if name.starts_with(&*entry.prefix) {
                return Some(&entry.value);
            }
            candidate = entry.parent;
        }
        None
    }

    /// Every value.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.value)
    }
}

impl<T> Default for PrefixMap<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_longest_prefix_is_found(prefixes: BTreeSet<String>, name in "[ab]{0,6}") {
            check(&prefixes, &name);
        }

        #[test]
        fn the_longest_of_nested_prefixes_is_found(
            prefixes in prop::collection::btree_set("[ab]{0,5}", 0..12), name in "[abc]{0,6}"
        ) {
            check(&prefixes, &name);
        }
    }

    fn check(prefixes: &BTreeSet<String>, name: &str) {
        let entries = prefixes.iter().map(|prefix| (prefix.as_str().into(), vec![prefix.clone()]));
        let map: PrefixMap<Vec<String>> = PrefixMap::new(entries, |outer, mut own| {
            own.splice(0..0, outer.iter().cloned());
            own
        });
        let expected: Vec<String> = prefixes.iter().filter(|prefix| name.starts_with(*prefix)).cloned().collect();
        assert_eq!(map.longest(name).cloned().unwrap_or_default(), expected);
    }
}
