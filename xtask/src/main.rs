//! The repository's chores: `cargo xtask model import`, `codegen`, `manual` and `bench`.
//!
//! Only the command line is read here; what the chores do is in the library, where the tests can reach it.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use xtask::{Tree, bench, codegen, fidelity, import, manual};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the Coffer repository")]
struct Chores {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// The facts about AWS services in models/*.json.
    #[command(subcommand)]
    Model(Model),
    /// Writes crates/protocol/model from models/*.json and models/*.toml.
    Codegen {
        /// Only compare; fail when something would change.
        #[arg(long)]
        check: bool,
    },
    /// Writes docs/configuration.md from the doc comments of the configuration, and the tables of docs/services from models/.
    Manual,
    /// Measures a release server against a bare HTTP server and prints a table.
    Bench {
        /// Also put the table into docs/performance.md.
        #[arg(long)]
        write: bool,
        /// How long each case is measured.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
        seconds: u64,
        /// Measure stores of growing size instead.
        #[arg(long, conflicts_with = "only")]
        scale: bool,
        /// Measure what is left of the good answers when too much is asked for.
        #[arg(long, conflicts_with_all = ["only", "scale"])]
        overload: bool,
        /// Measure functions and rotations.
        #[arg(long, conflicts_with_all = ["only", "scale", "overload"])]
        functions: bool,
        /// Only these cases.
        #[arg(long, value_enum, value_delimiter = ',')]
        only: Vec<bench::Case>,
        /// How many secrets the epoch changes under.
        #[arg(long, default_value_t = bench::epoch::SECRETS as u64,
              value_parser = clap::value_parser!(u64).range(bench::epoch::SECRETS_MIN as u64..))]
        secrets: u64,
    },
    /// The bare HTTP server of the benchmark.
    #[command(hide = true)]
    BenchFloor,
}

#[derive(Subcommand)]
enum Model {
    /// Takes service models out of PyPI's botocore and keeps names, types and constraints.
    Import {
        /// Names as botocore spells its directories, such as `secretsmanager`.
        #[arg(required_unless_present = "all")]
        services: Vec<String>,
        /// Every service that has an overlay.
        #[arg(long, conflicts_with = "services")]
        all: bool,
        /// A wheel or an unpacked botocore; without it the newest one is downloaded with pip.
        #[arg(long, value_name = "DIR|WHEEL")]
        botocore: Option<PathBuf>,
    },
}

#[expect(clippy::print_stdout, reason = "a chore reports to the person who started it")]
fn main() -> Result<()> {
    let tree = Tree::here();
    match Chores::parse().chore {
        Chore::Model(Model::Import { services, all, botocore }) => {
            let services = if all { tree.services()? } else { services };
            for line in import::import(&tree, &services, botocore.as_deref())? {
                println!("{line}");
            }
        }
        Chore::Codegen { check: false } => {
            for path in codegen::write(&tree)? {
                println!("wrote {}", path.display());
            }
        }
        Chore::Codegen { check: true } => {
            let stale = codegen::stale(&tree)?;
            if !stale.is_empty() {
                bail!("out of date: {}\n  try: cargo xtask codegen", stale.join(", "));
            }
        }
        Chore::Manual => {
            println!("wrote {}", manual::write(&tree)?);
            for page in fidelity::write(&tree)? {
                println!("wrote {page}");
            }
        }
        // Only a release build is measured, and only a release build measures.
        Chore::Bench { .. } if cfg!(debug_assertions) => {
            bench::run_for_release(&tree, std::env::args_os().skip(1))?;
        }
        Chore::Bench { write, seconds, scale: true, .. } => {
            let scale = bench::run_scale(Duration::from_secs(seconds))?;
            print!("{scale}");
            if write {
                println!("\nwrote {}", bench::write(&tree, bench::SCALE, &scale.to_string())?.display());
            }
        }
        Chore::Bench { write, seconds, only, secrets, .. } if only == [bench::Case::Epoch] => {
            let epoch = bench::run_epoch(usize::try_from(secrets)?, Duration::from_secs(seconds))?;
            print!("{epoch}");
            if write {
                println!("\nwrote {}", bench::write(&tree, bench::EPOCH, &epoch.to_string())?.display());
            }
        }
        Chore::Bench { only, .. } if only.contains(&bench::Case::Epoch) => {
            bail!("the epoch is measured alone\n  try: cargo xtask bench --only epoch");
        }
        Chore::Bench { write: true, only, .. } if !only.is_empty() => {
            bail!("a table of some cases is no table for the page\n  try: cargo xtask bench --write");
        }
        Chore::Bench { write, seconds, overload: true, .. } => {
            let overload = bench::run_overload(Duration::from_secs(seconds))?;
            print!("{overload}");
            if write {
                println!(
                    "\nwrote {}",
                    bench::write(&tree, bench::OVERLOAD, &overload.to_string())?.display()
                );
            }
        }
        Chore::Bench { write, seconds, functions: true, .. } => {
            let functions = bench::run_functions(Duration::from_secs(seconds))?;
            print!("{functions}");
            if write {
                println!(
                    "\nwrote {}",
                    bench::write(&tree, bench::FUNCTIONS, &functions.to_string())?.display()
                );
            }
        }
        Chore::Bench { write, seconds, only, .. } => {
            let report = bench::run(&tree, &bench::Options { only, window: Duration::from_secs(seconds) })?;
            print!("{report}");
            if write {
                println!("\nwrote {}", bench::write(&tree, bench::FIGURES, &report.to_string())?.display());
            }
        }
        Chore::BenchFloor => bench::run_floor(|endpoint| println!("listening at {endpoint}"))?,
    }
    Ok(())
}
