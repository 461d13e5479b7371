//! The options of the campaign policy, and loading its data: suppression lists, the ledger and the codes.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use super::args::{MessageArgs, OnError, ReplayArgs, usage_error};
use super::file_id::is_dash;
use super::files::{Inputs, Output, OutputFile};
use super::input_args::InputArgs;
use super::replay::{RejectObserver, replay_error, settings};
use super::session::Session;
use crate::analysis::LoadSuppression;
use crate::campaign::{Codes, Ledger, LedgerGroups, Once, Policy, PolicyRules, SuppressionList};
use crate::engine::{Settings, replay};
use crate::escape;
use crate::input::{LEDGER_COLUMNS, check_run_id, read_codes, read_ledger};

/// The options of the policy that all commands share. Its rules are in the campaign file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Policy")]
pub struct PolicyArgs {
    /// Send no code to the emails in FILE: one per line, CSV with a column email, or JSON Lines; `-` is standard input
    ///
    /// A value of 32 or 64 hexadecimal digits is the MD5 or SHA-256 digest of an email in lower case. Emails are
    /// compared without regard to case; at gmail.com and googlemail.com, dots and a +tag do not matter either.
    #[arg(long, value_name = "FILE", num_args = 1.., action = clap::ArgAction::Append)]
    pub suppress: Vec<PathBuf>,

    /// Send no second code to the customers in the ledger FILE
    ///
    /// CSV with the columns run,promo,email,outcome,code. adseg run appends a row for each code that it sends and each
    /// customer that it holds out. A customer who was sent a code by another run gets no second one for the same promo,
    /// unless the campaign file sets `once`.
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,

    /// The name of this run in the ledger, such as a date; to repeat a run, use the same name
    ///
    /// The rows of this run are repeated and not added again, so a repeated run sends the same codes to the same
    /// customers.
    #[arg(long, value_name = "TEXT", requires = "ledger", value_parser = parse_run_id)]
    pub run_id: Option<String>,

    /// Treat emails that differ only in ASCII case as one customer
    #[arg(short, long)]
    pub ignore_case: bool,
}

fn parse_run_id(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("the run id is empty".to_owned()),
        text => check_run_id(text.as_bytes()).map(|()| text.to_owned()),
    }
}

/// What a run does with its ledger and its codes.
pub struct RunData {
    /// The new ledger: the old one, to which the run appends its rows.
    pub rows: BufWriter<OutputFile>,
    pub codes: Option<Codes>,
}

impl PolicyArgs {
    /// The rules of a campaign file and the options.
    pub fn rules(&self, file: &PolicyRules) -> PolicyRules {
        PolicyRules { ignores_case: file.ignores_case || self.ignore_case, ..file.clone() }
    }

    /// Loads the policy of a command that does not write to the ledger. If `keeps_groups`, the ledger keeps the groups
    /// of its customers.
    pub fn load(
        &self,
        keeps_groups: bool,
        input_args: &InputArgs,
        inputs: &mut Inputs,
        args: &ReplayArgs,
        session: &Session,
    ) -> anyhow::Result<Policy> {
        let rules = Some(self.rules(&input_args.policy));
        let [policy] = self.load_each([rules], keeps_groups, input_args, inputs, args, session)?;
        Ok(policy)
    }

    /// Loads policies that differ only in their rules, which include the options. `None` is the policy without rules
    /// and data. Each file is opened once.
    pub fn load_each<const N: usize>(
        &self,
        rules: [Option<PolicyRules>; N],
        keeps_groups: bool,
        input_args: &InputArgs,
        inputs: &mut Inputs,
        args: &ReplayArgs,
        session: &Session,
    ) -> anyhow::Result<[Policy; N]> {
        let ledgers = match &self.ledger {
            None => [const { None }; N],
            Some(path) => {
                check_regular(path)?;
                self.read_ledgers(path, &rules, keeps_groups)?
            }
        };
        let settings = settings(input_args, &args.speed, 0);
        let suppression = self.load_suppression(inputs, &settings, &args.messages, session)?;
        let mut ledgers = ledgers.into_iter();
        Ok(rules.map(|rules| {
            let ledger = ledgers.next().expect("there is one for each policy");
            rules.map_or_else(Policy::default, |rules| Policy::new(rules, suppression.clone(), ledger))
        }))
    }

    /// The ledger for each of these rules.
    fn read_ledgers<const N: usize>(
        &self,
        path: &Path,
        rules: &[Option<PolicyRules>; N],
        keeps_groups: bool,
    ) -> anyhow::Result<[Option<Ledger>; N]> {
        let cannot_read = || format!("{}: cannot read", escape::path(path));
        let mut file = File::open(path).with_context(cannot_read)?;
        let mut ledgers = [const { None }; N];
        for (ledger, rules) in ledgers.iter_mut().zip(rules) {
            if let Some(rules) = rules {
                file.rewind().with_context(cannot_read)?;
                let mut read = self.empty_ledger(rules);
                if keeps_groups {
                    read = read.with_groups(LedgerGroups::new(rules.promos.clone()));
                }
                read_ledger(&file, path, &mut read, None)?;
                *ledger = Some(read);
            }
        }
        Ok(ledgers)
    }

    /// Loads the ledger and the codes of a run with these rules. The new ledger is `output`; without it the run appends
    /// nothing.
    pub fn load_ledger_and_codes(
        &self,
        rules: &PolicyRules,
        codes: Option<&Path>,
        output: Option<&Output>,
        messages: &MessageArgs,
        session: &Session,
    ) -> anyhow::Result<(Option<Ledger>, Option<RunData>)> {
        let mut codes = codes.map(read_codes).transpose()?;
        let Some(path) = &self.ledger else { return Ok((None, None)) };
        let mut ledger = self.empty_ledger(rules);
        let file = open_ledger(path)?;
        let has_header = file.as_ref().map(|file| read_ledger(file, path, &mut ledger, codes.as_mut())).transpose()?;
        codes.iter_mut().for_each(Codes::seal);
        let Some(output) = output else { return Ok((Some(ledger), None)) };
        if has_header != Some(true) && !messages.quiet {
            let name = escape::path(path);
            session.progress.print(&format!("adseg: note: {name} does not exist or is empty; a new ledger begins"));
        }
        let rows = copy_ledger(path, file, has_header == Some(true), output)?;
        Ok((Some(ledger), Some(RunData { rows, codes })))
    }

    fn empty_ledger(&self, rules: &PolicyRules) -> Ledger {
        Ledger::new(self.run_id.as_deref().map(str::as_bytes), rules.once(true))
    }

    /// Loads the suppression lists.
    pub fn load_suppression(
        &self,
        inputs: &mut Inputs,
        settings: &Settings,
        messages: &MessageArgs,
        session: &Session,
    ) -> anyhow::Result<Option<Arc<SuppressionList>>> {
        let files = inputs.take_suppressions(&session.progress);
        if files.is_empty() {
            return Ok(None);
        }
        let names: Vec<_> = files.iter().map(|file| Arc::clone(&file.path)).collect();
        let settings = Settings { max_rejects: 0, min_members: 0, replaced_list: None, ..*settings };
        let mut observer = RejectObserver::new(session, messages, None);
        let outcome = replay(&LoadSuppression, &settings, files, None, &mut observer)
            .map_err(|error| replay_error(error, OnError::Stop, 0))?;
        let list = SuppressionList::new(outcome.partitioner.expect("one process has all partitions"), outcome.states);
        if !messages.quiet {
            for path in (0..).zip(names).filter(|(index, _)| !list.has_entries_of(*index)).map(|(_, path)| path) {
                session
                    .progress
                    .print(&format!("adseg: warning: {}: the suppression list is empty", escape::path(&path)));
            }
        }
        Ok(Some(Arc::new(list)))
    }
}

/// Copies the ledger, if there is a file, to the new one, and adds the header row if it has none.
fn copy_ledger(
    path: &Path,
    file: Option<File>,
    has_header: bool,
    output: &Output,
) -> anyhow::Result<BufWriter<OutputFile>> {
    let mut rows = BufWriter::with_capacity(1 << 16, output.writer());
    if let Some(mut file) = file {
        file.rewind().with_context(|| format!("{}: cannot read", escape::path(path)))?;
        io::copy(&mut file, &mut rows).map_err(|error| output.cannot_write(error))?;
    }
    if !has_header {
        writeln!(rows, "{}", LEDGER_COLUMNS.join(",")).map_err(|error| output.cannot_write(error))?;
    }
    Ok(rows)
}

/// The codes of a file, without those that occur in the ledger.
pub fn unused_codes(codes: &Path, ledger: Option<&Path>) -> anyhow::Result<Codes> {
    let mut codes = read_codes(codes)?;
    if let Some(path) = ledger {
        check_regular(path)?;
        let file = File::open(path).with_context(|| format!("{}: cannot read", escape::path(path)))?;
        // Only the codes of the rows matter.
        read_ledger(file, path, &mut Ledger::new(None, Once::Never), Some(&mut codes))?;
    }
    codes.seal();
    Ok(codes)
}

/// Opens a ledger, which may not exist.
pub fn open_ledger(path: &Path) -> anyhow::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{}: cannot read", escape::path(path))),
    }
}

/// A ledger is replaced as a whole, so it must be a regular file.
pub fn check_regular(path: &Path) -> anyhow::Result<()> {
    if is_dash(path) || path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return usage_error(format!("the ledger must be a regular file, but {} is not", escape::path(path)));
    }
    Ok(())
}
