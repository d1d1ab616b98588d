//! Whole-system tests with clients that nobody here wrote.
