//! The options of `adseg run` for several processes, and the role of this process that follows from them and from the
//! environment.

use std::path::PathBuf;

use clap::Args;

use super::args::usage_error;
use super::cluster_start::{ChildRole, process_of_environment, read_hosts, token};
use crate::escape;

#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Run on the machines in FILE, one HOST:PORT per line; start this command on each of them with its --process
    ///
    /// Line I is the address of process I, counted from 0. The file and all inputs have the same names and content on
    /// every machine. --output names a directory: each process writes its part of the decisions there, and process 0
    /// writes a manifest when all parts are complete. `adseg merge` makes one file of them.
    ///
    /// A process that knows the value of the environment variable ADSEG_CLUSTER_TOKEN can take part in the run. The
    /// connections are not encrypted: use them only in a private network.
    #[arg(long, value_name = "FILE", conflicts_with = "processes", help_heading = "Several machines")]
    pub hosts: Option<PathBuf>,

    /// The number of this process with --hosts [default: the environment variable ADSEG_PROCESS]
    #[arg(long, value_name = "I", requires = "hosts", help_heading = "Several machines")]
    process: Option<usize>,

    /// Run in N processes on this machine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    #[arg(allow_negative_numbers = true, help_heading = "Several machines")]
    processes: Option<u16>,

    /// Fail if a process does not connect for SECONDS
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(allow_negative_numbers = true, help_heading = "Several machines")]
    pub connect_timeout: u32,

    /// Fail if a process does not answer, or no block is completed, for SECONDS
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(allow_negative_numbers = true, help_heading = "Several machines")]
    pub stall_timeout: u32,

    /// The size of a block with several processes, for tests
    #[arg(long, value_name = "BYTES", hide = true, value_parser = clap::value_parser!(u32).range(1..=1 << 28))]
    pub block_bytes: Option<u32>,
}

/// What this process is in a run on several processes.
pub enum Role {
    /// The first process of `--processes`.
    Parent { processes: usize },
    /// A process that the first one has started.
    Child(ChildRole),
    /// A process of `--hosts`.
    Host { process: usize, addresses: Vec<String>, token: String },
}

impl Role {
    /// The number of this process.
    pub const fn process(&self) -> usize {
        match self {
            Self::Parent { .. } => 0,
            Self::Child(child) => child.process,
            Self::Host { process, .. } => *process,
        }
    }
}

impl ClusterArgs {
    /// The role of this process; `None` if it runs alone.
    pub fn role(&self) -> anyhow::Result<Option<Role>> {
        if let Some(processes) = self.processes {
            let child = ChildRole::of_environment()?;
            return Ok(Some(child.map_or(Role::Parent { processes: usize::from(processes) }, Role::Child)));
        }
        let Some(hosts) = &self.hosts else { return Ok(None) };
        let addresses = read_hosts(hosts)?;
        let process = self.process.map_or_else(process_of_environment, |process| Ok(Some(process)))?;
        let Some(process) = process else {
            return usage_error("--hosts needs --process I, or the environment variable ADSEG_PROCESS");
        };
        if process >= addresses.len() {
            let (name, last) = (escape::path(hosts), addresses.len() - 1);
            return usage_error(format!("there is no process {process}: {name} names the processes 0 to {last}"));
        }
        Ok(Some(Role::Host { process, addresses, token: token()? }))
    }
}
