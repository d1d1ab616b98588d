//! What a suite counted. Read from the closing line of the program that ran it; never estimated.
use std::fmt;
use std::ops::AddAssign;

/// How many checks of a suite passed, failed and were skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Outcome {
    pub const fn passed(passed: u64) -> Self {
        Self { passed, failed: 0, skipped: 0 }
    }

    pub const fn failed(failed: u64) -> Self {
        Self { passed: 0, failed, skipped: 0 }
    }

    pub const fn skipped(skipped: u64) -> Self {
        Self { passed: 0, failed: 0, skipped }
    }

    /// Counts one named check.
    pub fn count(&mut self, ok: bool) {
        if ok {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    pub const fn total(self) -> u64 {
        self.passed + self.failed + self.skipped
    }
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The last closing line of a suite program: `[word: ]N passed, N failed[, N skipped]`, alone on its line.
pub fn closing_line(output: &str) -> Option<Outcome> {
    output.lines().rev().find_map(parse_closing_line)
}

fn parse_closing_line(line: &str) -> Option<Outcome> {
    let line = line.trim();
    let counts = match line.split_once(": ") {
        Some((word, counts)) if !word.contains(' ') => counts,
        _ => line,
    };
    let mut parts = counts.split(", ");
    let passed = parts.next()?.strip_suffix(" passed")?.parse().ok()?;
    let failed = parts.next()?.strip_suffix(" failed")?.parse().ok()?;
    let skipped = match parts.next() {
        Some(part) => part.strip_suffix(" skipped")?.parse().ok()?,
        None => 0,
    };
    parts.next().is_none().then_some(Outcome { passed, failed, skipped })
}

/// The sum of all `test result:` lines that `cargo test` printed, one per test binary.
pub fn cargo_test_results(output: &str) -> Outcome {
    let mut sum = Outcome::default();
    for line in output.lines() {
        let Some((_, counts)) = line.trim().split_once("test result: ") else { continue };
        for part in counts.split(['.', ';']) {
            let part = part.trim();
            let number = |suffix: &str| part.strip_suffix(suffix).and_then(|digits| digits.trim().parse::<u64>().ok());
            if let Some(passed) = number("passed") {
                sum.passed += passed;
            } else if let Some(failed) = number("failed") {
                sum.failed += failed;
            } else if let Some(ignored) = number("ignored") {
                sum.skipped += ignored;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, expected: Option<Outcome>) {
        assert_eq!(closing_line(output), expected, "{output:?}");
    }

    #[test]
    fn the_last_closing_line_counts() {
        check(
            "1 passed, 0 failed\nnoise\njava: 12 passed, 3 failed, 4 skipped\n",
            Some(Outcome { passed: 12, failed: 3, skipped: 4 }),
        );
    }

    #[test]
    fn a_line_with_other_words_is_no_closing_line() {
        check("we had 2 passed, 0 failed\n", None);
        check("2 passed, 0 failed, 1 skipped, 9 more\n", None);
        check("", None);
    }

    #[test]
    fn cargo_results_are_summed_over_all_binaries() {
        let output = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
                      test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n";
        assert_eq!(cargo_test_results(output), Outcome { passed: 5, failed: 4, skipped: 1 });
    }
}
