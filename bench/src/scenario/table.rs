//! A table of times, rates and values, each with its target.
use crate::histogram::Histogram;
use crate::report::Report;

/// What a time or a rate shall be.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// Of the 99th percentile, in milliseconds.
    P99Below(f64),
    AtLeast(f64),
    None,
}

/// A row of the report.
pub struct Line {
    pub name: String,
    pub cells: Vec<String>,
}

impl Line {
    pub fn write_table(report: &mut Report, title: &str, lines: Vec<Self>) {
        let rows = lines.into_iter().map(|line| std::iter::once(line.name).chain(line.cells).collect());
        let header = ["", "Count", "p50, ms, or value", "p99, ms", "max, ms", "Target"];
        report.table(title, &header, &rows.collect::<Vec<Vec<String>>>());
    }

    /// A single value with its unit.
    pub fn value(name: &str, value: String, target: String) -> Self {
        Self { name: name.to_owned(), cells: vec![String::new(), value, String::new(), String::new(), target] }
    }

    /// Times in microseconds, shown in milliseconds.
    pub fn times(name: &str, histogram: &Histogram, goal: Goal) -> Self {
        let milliseconds = |micros: u64| micros as f64 / 1000.0;
        let p99 = milliseconds(histogram.percentile(99.0));
        let verdict = match goal {
            Goal::P99Below(limit) => format!("p99 < {limit:.0} ms {}", verdict(p99 < limit)),
            _ => String::new(),
        };
        let shown = |value: f64| format!("{value:.1}");
        let cells = vec![
            histogram.total().to_string(),
            shown(milliseconds(histogram.percentile(50.0))),
            shown(p99),
            shown(milliseconds(histogram.max())),
            verdict,
        ];
        Self { name: name.to_owned(), cells }
    }

    pub fn rate(name: &str, count: u64, per_second: f64, goal: Goal) -> Self {
        let verdict = match goal {
            Goal::AtLeast(limit) => format!("≥ {limit:.0}/s {}", verdict(per_second >= limit)),
            _ => String::new(),
        };
        Self {
            name: name.to_owned(),
            cells: vec![count.to_string(), format!("{per_second:.0}/s"), String::new(), String::new(), verdict],
        }
    }
}

pub fn verdict(is_reached: bool) -> &'static str {
    if is_reached { "reached" } else { "**missed**" }
}
