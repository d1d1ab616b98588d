//! Rules of logical clusters: which kinds and sizes exist, what may change, and when one is ready.
//!
//! Kinds and sizes are those of the plan table; nothing here knows a figure of its own.

use millstream_api::plan::{self, PLANS, Plan};
use millstream_api::rest::cmk::{Availability, ClusterConfig, ClusterKind};

/// CKUs that one change may take away.
const MAX_CKUS_REMOVED_AT_ONCE: u32 = 1;

/// What a cluster is, apart from its name and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Its kind.
    pub kind: ClusterKind,
    /// CKUs of a Dedicated cluster, the most eCKUs of the others; 0 for as many as the plan allows.
    pub units: u32,
    /// Whether it can be deleted only after this is switched off.
    pub deletion_protection: bool,
}

/// Why a cluster or a change to one was refused. Each names its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// A kind that this service does not offer.
    #[error("spec.config.kind {} is not offered by this service: use {}", .kind.as_str(), offered())]
    KindNotOffered {
        /// The kind that was asked for.
        kind: ClusterKind,
    },
    /// A Dedicated cluster without a size.
    #[error("spec.config.cku is required for Dedicated clusters")]
    CkuMissing,
    /// A size in the unit of another kind.
    #[error("{field} does not belong to {} clusters: leave it out", .kind.as_str())]
    WrongUnit {
        /// The field, as a path.
        field: &'static str,
        /// The kind.
        kind: ClusterKind,
    },
    /// A size outside of what the plan allows.
    #[error("{field} must be {min} to {max} for {} clusters{}", .kind.as_str(), zones(*.is_multi_zone))]
    UnitsOutOfRange {
        /// The field, as a path.
        field: &'static str,
        /// The kind.
        kind: ClusterKind,
        /// Fewest units.
        min: u32,
        /// Most units.
        max: u32,
        /// Whether the cluster spans zones.
        is_multi_zone: bool,
    },
    /// A kind that cannot span zones.
    #[error("spec.availability must be SINGLE_ZONE or LOW: {} clusters do not span zones", .kind.as_str())]
    OneZoneOnly {
        /// The kind.
        kind: ClusterKind,
    },
    /// Protection for a kind that has none.
    #[error("spec.deletion_protection is not available for {} clusters", .kind.as_str())]
    NoDeletionProtection {
        /// The kind.
        kind: ClusterKind,
    },
    /// A change of kind that is not possible.
    #[error(
        "spec.config.kind cannot change from {} to {}: only Basic can become Standard; create another cluster",
        .from.as_str(), .to.as_str()
    )]
    KindChange {
        /// What it is.
        from: ClusterKind,
        /// What was asked for.
        to: ClusterKind,
    },
    /// Too large a step down.
    #[error("spec.config.cku can be lowered by {MAX_CKUS_REMOVED_AT_ONCE} at a time: from {from} to {}", .from - 1)]
    ShrinksTooFast {
        /// What it has.
        from: u32,
    },
    /// A change of size while another is under way.
    #[error("the cluster is being resized to {to} CKUs: wait until status.cku is {to}")]
    ResizeUnderWay {
        /// The size that it gets.
        to: u32,
    },
    /// A size whose limits are below what is in use.
    #[error(
        "spec.config.cku cannot be lowered from {from} to {to}: the cluster has {partitions} partitions and {to} CKUs \
         allow {limit}: delete topics first"
    )]
    PartitionsDoNotFit {
        /// What it has.
        from: u32,
        /// What was asked for.
        to: u32,
        /// Partitions in use.
        partitions: u64,
        /// Partitions that the wanted size allows.
        limit: u64,
    },
    /// A change of a field that is fixed at creation.
    #[error("{field} cannot be changed after creation: leave it out, or create another cluster")]
    Immutable {
        /// The field, as a path.
        field: &'static str,
    },
}

impl ClusterError {
    /// The field that is meant, as a path.
    pub fn field(&self) -> &'static str {
        match self {
            Self::KindNotOffered { .. } | Self::KindChange { .. } => "spec.config.kind",
            Self::CkuMissing
            | Self::ShrinksTooFast { .. }
            | Self::ResizeUnderWay { .. }
            | Self::PartitionsDoNotFit { .. } => "spec.config.cku",
            Self::OneZoneOnly { .. } => "spec.availability",
            Self::NoDeletionProtection { .. } => "spec.deletion_protection",
            Self::WrongUnit { field, .. } | Self::UnitsOutOfRange { field, .. } | Self::Immutable { field } => field,
        }
    }
}

/// Kinds that are offered, for a message.
fn offered() -> String {
    PLANS.map(|plan| plan.kind.as_str()).join(", ")
}

fn zones(is_multi_zone: bool) -> &'static str {
    if is_multi_zone { " that span zones" } else { "" }
}

/// The shape of a new cluster.
pub fn shape(
    config: &ClusterConfig,
    availability: Availability,
    deletion_protection: Option<bool>,
) -> Result<Shape, ClusterError> {
    let plan = plan::of(config.kind).ok_or(ClusterError::KindNotOffered { kind: config.kind })?;
    let is_multi_zone = availability.is_multi_zone();
    if is_multi_zone && !plan.multi_zone {
        return Err(ClusterError::OneZoneOnly { kind: plan.kind });
    }
    if config.kind == ClusterKind::Dedicated && config.cku.is_none() {
        return Err(ClusterError::CkuMissing);
    }
    let units = check_units(plan, config, is_multi_zone)?.unwrap_or(0);
    let deletion_protection = deletion_protection.unwrap_or(false);
    check_deletion_protection(plan, deletion_protection)?;
    Ok(Shape { kind: plan.kind, units, deletion_protection })
}

/// The shape of a cluster after a change. What the request leaves out stays. `observed_units` are the CKUs that a
/// Dedicated cluster has at the moment.
pub fn reshape(
    present: Shape,
    observed_units: u32,
    availability: Availability,
    config: Option<&ClusterConfig>,
    deletion_protection: Option<bool>,
) -> Result<Shape, ClusterError> {
    let mut shape = present;
    if let Some(config) = config {
        let plan = plan::of(config.kind).ok_or(ClusterError::KindNotOffered { kind: config.kind })?;
        check_kind_change(present.kind, config.kind)?;
        let requested = check_units(plan, config, availability.is_multi_zone())?;
        let kind_changes = config.kind != present.kind;
        shape.kind = config.kind;
        // A cap in eCKUs of another kind means something else, so it does not outlive the change.
        shape.units = requested.unwrap_or(if kind_changes { 0 } else { present.units });
        if config.kind == ClusterKind::Dedicated && shape.units != present.units {
            check_resize(present.units, observed_units, shape.units)?;
        }
    }
    if let Some(wanted) = deletion_protection {
        let plan = plan::of(shape.kind).ok_or(ClusterError::KindNotOffered { kind: shape.kind })?;
        check_deletion_protection(plan, wanted)?;
        shape.deletion_protection = wanted;
    }
    Ok(shape)
}

fn check_kind_change(from: ClusterKind, to: ClusterKind) -> Result<(), ClusterError> {
    let is_allowed = from == to || (from, to) == (ClusterKind::Basic, ClusterKind::Standard);
    if is_allowed { Ok(()) } else { Err(ClusterError::KindChange { from, to }) }
}

/// The units of a config in the unit of its kind; none if it does not name any.
fn check_units(plan: &Plan, config: &ClusterConfig, is_multi_zone: bool) -> Result<Option<u32>, ClusterError> {
    let (units, field, other, other_field) = match plan.kind {
        ClusterKind::Dedicated => (config.cku, "spec.config.cku", config.max_ecku, "spec.config.max_ecku"),
        _ => (config.max_ecku, "spec.config.max_ecku", config.cku, "spec.config.cku"),
    };
    if other.is_some() {
        return Err(ClusterError::WrongUnit { field: other_field, kind: plan.kind });
    }
    let (min, max) = (if is_multi_zone { plan.min_units_multi_zone } else { plan.min_units }, plan.max_units);
    match units {
        Some(units) if units < min || units > max => {
            Err(ClusterError::UnitsOutOfRange { field, kind: plan.kind, min, max, is_multi_zone })
        }
        units => Ok(units),
    }
}

fn check_deletion_protection(plan: &Plan, wanted: bool) -> Result<(), ClusterError> {
    if wanted && !plan.deletion_protection {
        return Err(ClusterError::NoDeletionProtection { kind: plan.kind });
    }
    Ok(())
}

fn check_resize(present: u32, observed: u32, wanted: u32) -> Result<(), ClusterError> {
    if observed != present {
        return Err(ClusterError::ResizeUnderWay { to: present });
    }
    if wanted.saturating_add(MAX_CKUS_REMOVED_AT_ONCE) < present {
        return Err(ClusterError::ShrinksTooFast { from: present });
    }
    Ok(())
}

/// Whether a change takes CKUs away.
pub fn shrinks(before: Shape, after: Shape) -> bool {
    (before.kind, after.kind) == (ClusterKind::Dedicated, ClusterKind::Dedicated) && after.units < before.units
}

/// Checks that what is in use is within the limits of a smaller size.
pub fn check_shrink(before: Shape, after: Shape, partitions: u64) -> Result<(), ClusterError> {
    let plan = plan::of(after.kind).ok_or(ClusterError::KindNotOffered { kind: after.kind })?;
    let limit = plan.limits(after.units).partitions;
    if partitions > limit {
        return Err(ClusterError::PartitionsDoNotFit { from: before.units, to: after.units, partitions, limit });
    }
    Ok(())
}

/// Checks that a field fixed at creation keeps its value.
pub fn check_unchanged<T: PartialEq>(
    field: &'static str,
    present: &T,
    requested: Option<&T>,
) -> Result<(), ClusterError> {
    match requested {
        Some(requested) if requested != present => Err(ClusterError::Immutable { field }),
        _ => Ok(()),
    }
}

/// Checks that a cluster goes on to span zones, or not. There are two words for each.
pub fn check_availability(present: Availability, requested: Option<Availability>) -> Result<(), ClusterError> {
    let requested = requested.map(Availability::is_multi_zone);
    check_unchanged("spec.availability", &present.is_multi_zone(), requested.as_ref())
}

/// Whether a cluster whose creation is config revision `revision` is ready: all live brokers know it, and clients can
/// be told where to connect.
pub fn is_provisioned(revision: u64, acknowledged_by_all: Option<u64>, bootstrap_endpoint: &str) -> bool {
    let known_to_brokers = acknowledged_by_all.is_some_and(|acknowledged| acknowledged >= revision);
    known_to_brokers && !bootstrap_endpoint.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ClusterKind::{Basic, Dedicated, Enterprise, Freight, Standard};

    fn config(kind: ClusterKind, cku: Option<u32>, max_ecku: Option<u32>) -> ClusterConfig {
        ClusterConfig { kind, cku, max_ecku }
    }

    /// Units of a new cluster in one zone, or the field that was refused.
    fn new_units(kind: ClusterKind, cku: Option<u32>, max_ecku: Option<u32>) -> Result<u32, &'static str> {
        units_in(Availability::SingleZone, kind, cku, max_ecku)
    }

    fn units_in(
        availability: Availability,
        kind: ClusterKind,
        cku: Option<u32>,
        max_ecku: Option<u32>,
    ) -> Result<u32, &'static str> {
        let shape = shape(&config(kind, cku, max_ecku), availability, None);
        shape.map(|shape| shape.units).map_err(|error| error.field())
    }

    #[test]
    fn each_kind_has_its_unit_and_its_range() {
        assert_eq!(new_units(Basic, None, None), Ok(0));
        assert_eq!(new_units(Basic, None, Some(1)), Ok(1));
        assert_eq!(new_units(Basic, None, Some(50)), Ok(50));
        assert_eq!(new_units(Basic, None, Some(51)), Err("spec.config.max_ecku"));
        assert_eq!(new_units(Basic, None, Some(0)), Err("spec.config.max_ecku"));
        assert_eq!(new_units(Basic, Some(1), None), Err("spec.config.cku"));
        assert_eq!(new_units(Standard, None, Some(10)), Ok(10));
        assert_eq!(new_units(Standard, None, Some(11)), Err("spec.config.max_ecku"));
        assert_eq!(new_units(Dedicated, Some(1), None), Ok(1));
        assert_eq!(new_units(Dedicated, Some(152), None), Ok(152));
        assert_eq!(new_units(Dedicated, Some(153), None), Err("spec.config.cku"));
        assert_eq!(new_units(Dedicated, Some(0), None), Err("spec.config.cku"));
        assert_eq!(new_units(Dedicated, None, None), Err("spec.config.cku"));
        assert_eq!(new_units(Dedicated, Some(1), Some(1)), Err("spec.config.max_ecku"));
        assert_eq!(new_units(Enterprise, None, None), Err("spec.config.kind"));
        assert_eq!(new_units(Freight, None, None), Err("spec.config.kind"));
    }

    #[test]
    fn a_cluster_that_spans_zones_needs_a_kind_that_can_and_more_units() {
        for availability in [Availability::MultiZone, Availability::High] {
            assert_eq!(units_in(availability, Basic, None, None), Err("spec.availability"));
            assert_eq!(units_in(availability, Standard, None, Some(1)), Err("spec.config.max_ecku"));
            assert_eq!(units_in(availability, Standard, None, Some(2)), Ok(2));
            assert_eq!(units_in(availability, Dedicated, Some(1), None), Err("spec.config.cku"));
            assert_eq!(units_in(availability, Dedicated, Some(2), None), Ok(2));
        }
    }

    #[test]
    fn only_dedicated_clusters_can_be_protected_from_deletion() {
        for (kind, cku, allowed) in [(Basic, None, false), (Standard, None, false), (Dedicated, Some(1), true)] {
            let new = shape(&config(kind, cku, None), Availability::Low, Some(true));
            assert_eq!(new.is_ok_and(|shape| shape.deletion_protection), allowed);
            let present = Shape { kind, units: cku.unwrap_or(0), deletion_protection: false };
            let changed = reshape(present, present.units, Availability::Low, None, Some(true));
            assert_eq!(changed.is_ok_and(|shape| shape.deletion_protection), allowed);
            assert!(reshape(present, present.units, Availability::Low, None, Some(false)).is_ok());
        }
    }

    #[test]
    fn basic_becomes_standard_and_no_other_kind_changes() {
        for from in [Basic, Standard, Dedicated] {
            for to in [Basic, Standard, Dedicated, Enterprise, Freight] {
                let present = Shape { kind: from, units: 1, deletion_protection: false };
                let cku = (to == Dedicated).then_some(1);
                let changed = reshape(present, 1, Availability::Low, Some(&config(to, cku, None)), None);
                let allowed = from == to || (from, to) == (Basic, Standard);
                assert_eq!(changed.is_ok(), allowed, "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn a_cap_stays_unless_it_is_named_or_the_kind_changes() {
        let capped = Shape { kind: Basic, units: 5, deletion_protection: false };
        let units = |config: &ClusterConfig| {
            reshape(capped, 0, Availability::SingleZone, Some(config), None).map(|shape| shape.units)
        };
        assert_eq!(units(&config(Basic, None, None)), Ok(5));
        assert_eq!(units(&config(Basic, None, Some(7))), Ok(7));
        assert_eq!(units(&config(Standard, None, None)), Ok(0));
        assert_eq!(units(&config(Standard, None, Some(3))), Ok(3));
    }

    #[test]
    fn a_dedicated_cluster_grows_at_will_and_shrinks_by_one_at_a_time() {
        let resize = |present: u32, observed: u32, wanted: u32, availability: Availability| {
            let shape = Shape { kind: Dedicated, units: present, deletion_protection: true };
            let config = config(Dedicated, Some(wanted), None);
            reshape(shape, observed, availability, Some(&config), None).map(|shape| shape.units)
        };
        let low = Availability::SingleZone;
        assert_eq!(resize(1, 1, 8, low), Ok(8));
        assert_eq!(resize(8, 8, 7, low), Ok(7));
        assert_eq!(resize(8, 8, 6, low), Err(ClusterError::ShrinksTooFast { from: 8 }));
        assert_eq!(resize(8, 1, 9, low), Err(ClusterError::ResizeUnderWay { to: 8 }));
        assert_eq!(resize(8, 1, 8, low), Ok(8));
        let too_small = resize(2, 2, 1, Availability::MultiZone).expect_err("it spans zones");
        assert_eq!(too_small.field(), "spec.config.cku");
        assert!(too_small.to_string().contains("2 to 152"), "{too_small}");
    }

    #[test]
    fn a_dedicated_cluster_shrinks_only_to_where_its_partitions_fit() {
        let sized = |units| Shape { kind: Dedicated, units, deletion_protection: false };
        assert!(shrinks(sized(2), sized(1)) && !shrinks(sized(1), sized(2)) && !shrinks(sized(2), sized(2)));
        let basic = |units| Shape { kind: Basic, ..sized(units) };
        assert!(!shrinks(basic(2), basic(1)), "a cap is not a size");
        assert_eq!(check_shrink(sized(2), sized(1), 4_500), Ok(()));
        let refused = check_shrink(sized(2), sized(1), 4_501).expect_err("one too many");
        assert_eq!(refused.field(), "spec.config.cku");
        let text = refused.to_string();
        assert!(["from 2 to 1", "4501", "4500"].iter().all(|figure| text.contains(figure)), "{text}");
    }

    #[test]
    fn the_two_words_for_an_availability_are_the_same() {
        assert_eq!(check_availability(Availability::SingleZone, Some(Availability::Low)), Ok(()));
        assert_eq!(check_availability(Availability::High, Some(Availability::MultiZone)), Ok(()));
        assert_eq!(check_availability(Availability::High, None), Ok(()));
        let error = check_availability(Availability::Low, Some(Availability::High)).expect_err("it changes");
        assert_eq!(error, ClusterError::Immutable { field: "spec.availability" });
    }

    #[test]
    fn a_cluster_is_ready_when_all_live_brokers_know_it_and_its_address_is_known() {
        assert!(is_provisioned(5, Some(5), "host:9092"));
        assert!(!is_provisioned(5, Some(4), "host:9092"));
        assert!(!is_provisioned(5, None, "host:9092"));
        assert!(!is_provisioned(5, Some(5), ""));
    }
}
