//! Where a benchmark works: folders, the program under test, how long the runs are.
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use millstream_e2e::cache::cache_dir;
use millstream_e2e::context::{Against, Context};
use millstream_e2e::millstream;

use crate::options::Options;
use crate::rounds::Rounds;
use crate::subject::System;

/// The surroundings of all scenarios.
#[derive(Debug)]
pub struct Workbench {
    pub context: Context,
    pub binary: PathBuf,
    pub jars: PathBuf,
    pub systems: Vec<System>,
    pub quick: bool,
    /// Output of the load programs.
    pub logs: PathBuf,
    pub reports: PathBuf,
}

impl Workbench {
    pub fn new(options: &Options) -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let repository = here.parent().unwrap_or(here).to_owned();
        let program = std::env::current_exe()?;
        // The program is in TARGET/PROFILE.
        let target_dir = program.ancestors().nth(2).ok_or_else(|| anyhow!("cannot tell the target folder"))?.to_owned();
        let logs = target_dir.join("bench").join("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let reports = if options.quick { target_dir.join("bench").join("quick-reports") } else { here.join("reports") };
        if let Some(directory) = &options.data_dir {
            ensure!(directory.is_dir(), "--data-dir {} is not a folder", directory.display());
            tempfile::env::override_temp_dir(directory)
                .map_err(|other| anyhow!("the temporary folder is {} already", other.display()))?;
        }
        let context = Context {
            repository,
            target_dir,
            cache_dir: cache_dir(),
            log: logs.join("servers.log"),
            against: Against::Millstream,
        };
        let binary = millstream::binary(&context);
        let needs_binary = options.systems.contains(&System::Millstream);
        ensure!(
            !needs_binary || binary.is_file(),
            "{} does not exist: build it or set MILLSTREAM_BINARY",
            binary.display()
        );
        let jars = context.kafka_jars()?;
        Ok(Self { context, binary, jars, systems: options.systems.clone(), quick: options.quick, logs, reports })
    }

    /// One of two sizes.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The rounds of the scenarios that load the broker. Apache Kafka needs three runs until its JIT has compiled the request path;
    /// both systems get them.
    pub fn load_rounds(&self) -> Rounds {
        self.pick(Rounds { warm_up: 3, measured: 5 }, Rounds { warm_up: 1, measured: 1 })
    }
}
