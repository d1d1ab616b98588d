//! The controller: gather → validate → build → apply → report.
//!
//! `build` and `step` are pure: what is made and what is done next follow from what was gathered, and nothing else.
pub mod apply;
pub mod brokers;
pub mod build;
pub mod certificates;
pub mod deletion;
pub mod external_certificate;
pub mod gather;
pub mod kinds;
pub mod names;
pub mod observe;
pub mod quantity;
pub mod reconcile;
pub mod report;
pub mod routes;
pub mod served;
pub mod step;
pub mod validate;
