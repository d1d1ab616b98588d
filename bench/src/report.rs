//! A report in Markdown: medians and ratios first, then every single value, then what is needed to repeat it.
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Error, Result};

use crate::rounds::Sample;
use crate::scenario::Scenario;
use crate::subject::{Subject, System};
use crate::surroundings;
use crate::workbench::Workbench;

/// What the ratio Millstream / Apache Kafka shall be.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn is_reached(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(limit) => ratio <= limit,
            Self::AtLeast(limit) => ratio >= limit,
        }
    }

    fn describe(self) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {limit:.2}"),
            Self::AtLeast(limit) => format!("≥ {limit:.2}"),
        }
    }
}

/// One column of values.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub decimals: usize,
    pub target: Option<Target>,
}

impl Metric {
    pub const fn new(name: &'static str, decimals: usize) -> Self {
        Self { name, decimals, target: None }
    }

    pub const fn at_most(name: &'static str, decimals: usize, ratio: f64) -> Self {
        Self { name, decimals, target: Some(Target::AtMost(ratio)) }
    }

    pub const fn at_least(name: &'static str, decimals: usize, ratio: f64) -> Self {
        Self { name, decimals, target: Some(Target::AtLeast(ratio)) }
    }

    fn show(&self, value: f64) -> String {
        format!("{value:.*}", self.decimals)
    }
}

/// A report being written.
#[derive(Debug)]
pub struct Report {
    path: PathBuf,
    text: String,
}

impl Report {
    pub fn new(scenario: Scenario, workbench: &Workbench) -> Result<Self> {
        let now = chrono::Utc::now();
        let path = workbench.reports.join(format!("{}-{}.md", now.format("%Y-%m-%d"), scenario.name()));
        let mut text = format!("# {}: {}\n\n", scenario.name(), scenario.about());
        if workbench.quick {
            text += "**Quick run: checks the harness, proves nothing.**\n\n";
        }
        writeln!(
            text,
            "Started {} UTC, load average {}.\n",
            now.format("%Y-%m-%d %H:%M"),
            surroundings::load_average()
        )?;
        text += "| | |\n| --- | --- |\n";
        for (name, value) in surroundings::facts(workbench) {
            writeln!(text, "| {name} | {} |", surroundings::without_folders(&value, workbench))?;
        }
        text += "\n";
        Ok(Self { path, text })
    }

    pub fn paragraph(&mut self, text: &str) {
        self.text += text;
        self.text += "\n\n";
    }

    /// Medians, ratios and all values of one load.
    pub fn comparison(&mut self, title: &str, metrics: &[Metric], samples: &[Sample]) {
        self.text +=
            &format!("## {title}\n\n{}\n{}\n", medians_table(metrics, samples), values_table(metrics, samples));
    }

    /// A table of ready cells.
    pub fn table(&mut self, title: &str, header: &[&str], rows: &[Vec<String>]) {
        self.text += &format!("## {title}\n\n{}\n", table(header, rows));
    }

    /// How each system was started.
    pub fn settings(&mut self, subjects: &[Subject], workbench: &Workbench) {
        for subject in subjects {
            let command = surroundings::command_line(subject.pid(), workbench);
            let settings = surroundings::without_folders(&subject.settings, workbench);
            self.text += &format!("## Settings of {}\n\n```\n{command}\n\n{settings}\n```\n\n", subject.system);
        }
    }

    /// For a scenario that failed: what was measured before goes to the target folder, where nobody quotes it.
    pub fn mark_incomplete(&mut self, error: &Error, workbench: &Workbench) {
        let reason = surroundings::without_folders(&format!("{error:#}"), workbench);
        self.paragraph(&format!("**Incomplete: {reason}**"));
        if let Some(name) = self.path.file_name() {
            self.path = workbench.context.target_dir.join("bench").join("incomplete-reports").join(name);
        }
    }

    /// Writes the file; returns its path.
    pub fn write(self) -> Result<PathBuf> {
        let directory = self.path.parent().unwrap_or(&self.path);
        std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let text = self.text.trim_end().to_owned() + "\n";
        std::fs::write(&self.path, text).with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(self.path)
    }
}

fn medians_table(metrics: &[Metric], samples: &[Sample]) -> String {
    let rows = metrics.iter().enumerate().map(|(index, metric)| {
        let [kafka, ours] = System::ALL.map(|system| median(&measured(samples, system, index)));
        let ratio = kafka.zip(ours).filter(|(kafka, _)| *kafka != 0.0).map(|(kafka, ours)| ours / kafka);
        let show = |value: Option<f64>| value.map_or("–".to_owned(), |value| metric.show(value));
        let verdict = match (metric.target, ratio) {
            (Some(target), Some(ratio)) if target.is_reached(ratio) => format!("{} reached", target.describe()),
            (Some(target), Some(_)) => format!("{} **missed**", target.describe()),
            (Some(target), None) => target.describe(),
            (None, _) => String::new(),
        };
        let ratio = ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.3}"));
        vec![metric.name.to_owned(), show(kafka), show(ours), ratio, verdict]
    });
    let header = ["Median", "Apache Kafka", "Millstream", "Millstream / Apache Kafka", "Target"];
    table(&header, &rows.collect::<Vec<_>>())
}

fn values_table(metrics: &[Metric], samples: &[Sample]) -> String {
    let mut header = vec!["Run", "System", "Load average before"];
    header.extend(metrics.iter().map(|metric| metric.name));
    let rows = samples.iter().map(|sample| {
        let mut row = vec![sample.name.clone(), sample.system.to_string(), sample.load_average.clone()];
        row.extend(metrics.iter().zip(&sample.values).map(|(metric, value)| metric.show(*value)));
        row
    });
    table(&header, &rows.collect::<Vec<_>>())
}

fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", header.join(" | "), " --- |".repeat(header.len()));
    for row in rows {
        text += &format!("| {} |\n", row.join(" | "));
    }
    text
}

fn measured(samples: &[Sample], system: System, metric: usize) -> Vec<f64> {
    let of_system = samples.iter().filter(|sample| sample.is_measured && sample.system == system);
    of_system.filter_map(|sample| sample.values.get(metric).copied()).collect()
}

/// None without values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(system: System, is_measured: bool, value: f64) -> Sample {
        Sample { system, name: "run".to_owned(), is_measured, load_average: "0.10".to_owned(), values: vec![value] }
    }

    #[test]
    fn the_median_of_an_even_count_lies_between_the_middle_values() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn warm_up_runs_are_shown_but_do_not_count() {
        let samples = [
            sample(System::ApacheKafka, false, 100.0),
            sample(System::ApacheKafka, true, 10.0),
            sample(System::Millstream, true, 2.0),
        ];
        let metrics = [Metric::at_most("CPU-s", 1, 0.25)];
        let medians = medians_table(&metrics, &samples);
        assert!(medians.contains("| CPU-s | 10.0 | 2.0 | 0.200 | ≤ 0.25 reached |"), "{medians}");
        assert!(values_table(&metrics, &samples).contains("| run | Apache Kafka | 0.10 | 100.0 |"));
    }

    #[test]
    fn a_missed_target_is_said_to_be_missed() {
        let samples = [sample(System::ApacheKafka, true, 10.0), sample(System::Millstream, true, 9.0)];
        assert!(medians_table(&[Metric::at_least("rate", 0, 1.0)], &samples).contains("≥ 1.00 **missed**"));
    }

    #[test]
    fn one_system_alone_has_no_ratio() {
        let table = medians_table(&[Metric::at_least("rate", 0, 1.0)], &[sample(System::ApacheKafka, true, 10.0)]);
        assert!(table.contains("| rate | 10 | – | – | ≥ 1.00 |"), "{table}");
    }
}
