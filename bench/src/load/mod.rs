//! Load generators. Each checks every answer and says how much it did; none looks at the server's process.
pub mod closed_loop;
pub mod open_loop;
pub mod produce;
pub mod producer_performance;
