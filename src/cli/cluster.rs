//! `adseg run` on several processes: the course of the run in each process.
//!
//! With `--processes`, this process is the first one and starts the others. All of them write to one file: each block at
//! its place. With `--hosts`, the user starts all of them, and each worker writes a part in a directory.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::args::{FAILED, MessageArgs, ProgressWhen, usage_error};
use super::cluster_args::{ClusterArgs, Role};
use super::cluster_start::{ChildRole, Children, end_with_parent, facts, listen, plans, policy_facts};
use super::files::{Inputs, Output, OutputFile};
use super::part_folder::{PartFolder, part_name, run_name};
use super::replay::{RejectObserver, write_report};
use super::run::{RunArgs, check_policy, encoder, failure, finish, load_policy, prepare, print_result};
use super::run_outputs::{Outputs, lock_outputs, open_ledger, open_list, open_rejects};
use super::session::Session;
use super::summary::Summary;
use crate::analysis::{Decide, DecideState};
use crate::campaign::Policy;
use crate::engine::cluster::{
    Cluster, ClusterError, Destination, Gathered, MANIFEST, Manifest, ManifestInput, Membership, PartWriter, Work,
};
use crate::engine::{ReplayError, Settings};
use crate::escape;
use crate::input::InputPlan;
use crate::output::{CommitOrder, DecisionEncoder, Rejects};
use crate::record::SourceKind;
use crate::system::{Blocking, stdout_file};

/// A free port of this machine.
const LOOPBACK: &str = "127.0.0.1:0";

/// The run in this process.
struct ClusterRun<'a> {
    args: &'a RunArgs,
    session: &'a Session,
    began: Instant,
    settings: Settings,
    plans: Arc<[InputPlan]>,
    /// It is leaked, because the workers borrow it and live until the process ends: joining them would wait for
    /// processes that are lost.
    policy: &'static Policy,
    encoder: DecisionEncoder,
    facts: Vec<(String, String)>,
}

pub fn run(args: &RunArgs, role: Role, session: &Session) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    check_policy(args)?;
    if args.codes.is_some() {
        return usage_error(
            "--codes cannot be used with --hosts or --processes: one process hands out the codes in order",
        );
    }
    let is_first = role.process() == 0;
    if matches!(role, Role::Child(_)) {
        end_with_parent().context("cannot start a thread")?;
    }
    if is_first {
        lock_outputs(args, session)?;
    }
    let (mut settings, inputs) = prepare(args)?;
    inputs.check_regular()?;
    if let Some(bytes) = args.cluster.block_bytes {
        settings.reader.block_bytes = bytes as usize;
    }
    if let (Role::Parent { processes }, None) = (&role, args.replay.speed.threads) {
        settings.threads = (settings.threads.get() / processes).try_into().unwrap_or(NonZeroUsize::MIN);
    }
    if let Role::Child(child) = &role {
        settings.threads = child.threads;
    }
    let policy_facts = policy_facts(args)?;
    let start = |mut inputs: Inputs, ledger: Option<&Output>| -> anyhow::Result<(ClusterRun<'_>, Option<_>)> {
        // The other processes print only errors.
        let quiet = MessageArgs { progress: ProgressWhen::Never, quiet: true };
        let messages = if is_first { &args.replay.messages } else { &quiet };
        let (policy, data) = load_policy(args, &settings, ledger, &mut inputs, (messages, session))?;
        let inputs = inputs.into_inputs(&session.progress);
        let plans = plans(&inputs, &settings)?;
        let facts = facts(args, &settings, &inputs, &plans)?.into_iter().chain(policy_facts).collect();
        let policy = Box::leak(Box::new(policy));
        let encoder = encoder(args, policy);
        Ok((ClusterRun { args, session, began, settings, plans, policy, encoder, facts }, data.map(|data| data.rows)))
    };
    match role {
        Role::Parent { processes } => {
            let Outputs { decisions, list, ledger, rejects } = Outputs::open(args, &inputs, session)?;
            session.show_progress(&args.replay.messages, decisions.is_terminal(), inputs.total_bytes());
            let (run, rows) = start(inputs, ledger.as_ref())?;
            run.run_parent(processes, &decisions, Results { list, rejects, ledger, rows })
        }
        Role::Child(child) => start(inputs, None)?.0.run_child(child),
        Role::Host { process, addresses, token } => {
            let folder = PartFolder::open(&args.output, named_files(args), is_first)?;
            if !is_first {
                return start(inputs, None)?.0.run_host((process, addresses, token), &folder, None);
            }
            let rejects = open_rejects(args, &inputs, session)?;
            let (ledger, list) = (open_ledger(args, &inputs, session)?, open_list(args, session)?);
            session.show_progress(&args.replay.messages, false, inputs.total_bytes());
            let (run, rows) = start(inputs, ledger.as_ref())?;
            run.run_host((process, addresses, token), &folder, Some(Results { list, rejects, ledger, rows }))
        }
    }
}

/// The files that a run reads or writes beside the decisions.
fn named_files(args: &RunArgs) -> impl Iterator<Item = &PathBuf> {
    let RunArgs { inputs, policy, .. } = args;
    let lists = inputs.loyalty.iter().chain(&inputs.conversions).chain(&policy.suppress);
    let one_file = [&inputs.campaign, &policy.ledger, &args.save_loyalty, &args.rejects, &args.cluster.hosts];
    lists.chain(one_file.into_iter().flatten())
}

/// The outputs of the first process, without the decisions.
struct Results {
    list: Option<Output>,
    rejects: Option<Rejects>,
    ledger: Option<Output>,
    /// The new ledger: the old one, to which the run appends its rows.
    rows: Option<BufWriter<OutputFile>>,
}

impl ClusterRun<'_> {
    /// The first process of `--processes`.
    fn run_parent(self, processes: usize, decisions: &Output, results: Results) -> anyhow::Result<ExitCode> {
        let listener = TcpListener::bind(LOOPBACK).context("cannot listen on 127.0.0.1")?;
        let temporary = || tempfile::tempfile().map(Arc::new).context("cannot create a temporary file");
        let (staged, header) = (decisions.staged_file(), self.encoder.header());
        let file = staged.clone().map_or_else(temporary, Ok)?;
        (&*file).write_all(&header).map_err(|error| decisions.cannot_write(error))?;
        let mut addresses = vec![LOOPBACK.to_owned(); processes];
        addresses[0] = listener.local_addr().context("cannot listen on 127.0.0.1")?.to_string();
        let children = Arc::new(Children::start(&addresses, &file, self.settings.threads)?);
        let token = children.token.clone();
        let of_connect = Arc::clone(&children);
        let mut cluster = self.connect(0, addresses, listener, token, Box::new(move || of_connect.has_failed()))?;
        let parts = self.shared_parts(0, cluster.run(), &file);
        let complete = |manifest: &Manifest| {
            let copy = || {
                let len = file.metadata()?.len();
                assert_eq!(len, manifest.bytes, "all blocks are in their places");
                if staged.is_none() {
                    (&*file).rewind()?;
                    io::copy(&mut BufReader::with_capacity(1 << 18, &*file), &mut decisions.writer())?;
                }
                Ok(())
            };
            copy().map_err(|error| decisions.cannot_write(error))
        };
        let exit_code = self.lead(&mut cluster, parts, results, complete)?;
        children.wait();
        Ok(exit_code)
    }

    /// A process that the first one has started. It is silent about the failures of others, which the first one reports.
    fn run_child(self, child: ChildRole) -> anyhow::Result<ExitCode> {
        let listener = TcpListener::bind(LOOPBACK).context("cannot listen on 127.0.0.1")?;
        let ChildRole { process, addresses, token, .. } = child;
        let file = Arc::new(stdout_file().context("stdout")?);
        let followed = self.connect(process, addresses, listener, token, Box::new(|| false)).and_then(|mut cluster| {
            let parts = self.shared_parts(process, cluster.run(), &file);
            self.follow(&mut cluster, parts)
        });
        let is_of_other = |error: &anyhow::Error| {
            let error = error.downcast_ref::<ClusterError>();
            error.is_some_and(|error| matches!(error, ClusterError::Peer { .. } | ClusterError::Refused { .. }))
        };
        if followed.as_ref().is_err_and(is_of_other) {
            return Ok(ExitCode::from(FAILED));
        }
        followed
    }

    /// A process of `--hosts`.
    fn run_host(
        mut self,
        (process, addresses, token): (usize, Vec<String>, String),
        folder: &PartFolder,
        first: Option<Results>,
    ) -> anyhow::Result<ExitCode> {
        let address = &addresses[process];
        let listener = listen(address, Duration::from_secs(self.args.cluster.connect_timeout.into()))
            .with_context(|| format!("cannot listen on {}, the address of process {process}", escape::text(address)))?;
        // Processes with different files could agree on their number only.
        self.facts.push(("the list of --hosts".to_owned(), escape::text(&addresses.join(", "))));
        let mut cluster = self.connect(process, addresses, listener, token, Box::new(|| false))?;
        let parts = self.parts(process, cluster.run(), |name| {
            let staged = self.session.staging.create(&folder.path().join(name), CommitOrder::Output);
            Ok(Destination::Own(Box::new(Blocking(staged.map_err(io::Error::other)?))))
        });
        let exit_code = match first {
            None => self.follow(&mut cluster, parts)?,
            Some(results) => {
                let write = |manifest: &Manifest| {
                    let out = Output::open_unchecked(&folder.path().join(MANIFEST), self.session, CommitOrder::Output)?;
                    write_report(&out, |out| manifest.write(out))
                };
                self.lead(&mut cluster, parts, results, write)?
            }
        };
        folder.remove_earlier_parts();
        Ok(exit_code)
    }

    fn connect(
        &self,
        process: usize,
        addresses: Vec<String>,
        listener: TcpListener,
        token: String,
        has_failed: Box<dyn Fn() -> bool>,
    ) -> anyhow::Result<Cluster> {
        let ClusterArgs { connect_timeout, stall_timeout, .. } = self.args.cluster;
        let progress = self.session.progress.clone();
        let membership = Membership {
            process,
            addresses,
            listener,
            token,
            facts: self.facts.clone(),
            timeout: Duration::from_secs(connect_timeout.into()),
            warn: Arc::new(move |message| progress.print(&format!("adseg: {message}"))),
            has_failed,
        };
        Ok(Cluster::connect(membership, Duration::from_secs(stall_timeout.into()))?)
    }

    /// The parts of this process, one for each worker, in the file that all processes share.
    fn shared_parts(&self, process: usize, run: u64, file: &Arc<File>) -> anyhow::Result<Vec<PartWriter>> {
        let header = self.encoder.header().len() as u64;
        self.parts(process, run, |_| Ok(Destination::Shared(Arc::clone(file), header)))
    }

    /// The parts of this process, one for each worker.
    fn parts(
        &self,
        process: usize,
        run: u64,
        destination: impl Fn(&str) -> io::Result<Destination>,
    ) -> anyhow::Result<Vec<PartWriter>> {
        let part = |worker: usize| {
            let name = part_name(run, process, worker, self.args.output_format);
            let start = || PartWriter::start(name.clone(), destination(&name)?);
            start().with_context(|| format!("{}: cannot write", escape::text(&name)))
        };
        (0..self.settings.threads.get()).map(part).collect()
    }

    fn work(&self) -> Work<Decide<'static>> {
        Work {
            computation: Decide { keeps_rows: self.args.save_loyalty.is_some(), policy: self.policy },
            settings: self.settings,
            plans: Arc::clone(&self.plans),
            encoder: self.encoder,
            ledger: self.policy.ledger().map(|_| self.policy),
        }
    }

    /// The first process: replays, and makes the result final when all parts are complete. `complete` writes it.
    fn lead(
        &self,
        cluster: &mut Cluster,
        parts: anyhow::Result<Vec<PartWriter>>,
        results: Results,
        complete: impl FnOnce(&Manifest) -> anyhow::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        let Results { list, rejects, ledger, rows } = results;
        let mut observer = RejectObserver::new(self.session, &self.args.replay.messages, rejects);
        let rows = rows.map(|rows| Box::new(rows) as _);
        let lead = |cluster: &mut Cluster| {
            let gathered = cluster.replay(self.work(), parts?, &mut observer, rows).map_err(|error| match error {
                ClusterError::Replay(ReplayError::Ledger(error)) => {
                    ledger.as_ref().expect("the run has a ledger").cannot_write(error)
                }
                error => self.error(error),
            })?;
            let manifest = self.manifest(&gathered, cluster.run());
            finish(self.args, &self.settings, &gathered.outcome, list.as_ref(), observer.rejects.take())?;
            cluster.commit_others()?;
            complete(&manifest)?;
            Ok((gathered, self.session.commit(ExitCode::SUCCESS)?))
        };
        let (gathered, exit_code) = lead(cluster).inspect_err(|error| fail(cluster, error))?;
        cluster.end();
        print_result(self.args, &Summary::new(&gathered.outcome, self.policy, self.began.elapsed()), self.session);
        Ok(exit_code)
    }

    /// Another process: replays, and commits its parts when the first process says so. Succeeds only if the run does.
    fn follow(&self, cluster: &mut Cluster, parts: anyhow::Result<Vec<PartWriter>>) -> anyhow::Result<ExitCode> {
        let follow = |cluster: &mut Cluster| {
            cluster.follow(self.work(), parts?).map_err(|error| self.error(error))?;
            self.session.staging.commit()?;
            Ok(cluster.committed()?)
        };
        follow(cluster).inspect_err(|error| fail(cluster, error))?;
        self.session.commit(ExitCode::SUCCESS)
    }

    /// The message of an error, which is the same as on one machine.
    fn error(&self, error: ClusterError) -> anyhow::Error {
        match error {
            ClusterError::Replay(error) => failure(error, self.args, &self.settings),
            error => error.into(),
        }
    }

    fn manifest(&self, gathered: &Gathered<DecideState>, run: u64) -> Manifest {
        let with_decisions = self.plans.iter().filter(|plan| plan.label.source != SourceKind::Loyalty);
        let input = |plan: &InputPlan| ManifestInput {
            name: plan.label.path.to_string_lossy().into_owned(),
            number: plan.label.index,
            segments: gathered.segments[plan.label.index],
        };
        let inputs = with_decisions.map(input).collect();
        let header = self.encoder.header();
        let manifest = Manifest::new(run_name(run), header, &gathered.outcome.counts, inputs, gathered.parts.clone());
        manifest.check().expect("the parts that the workers report are complete");
        manifest
    }
}

/// Sends the others the reason why this process fails, so that they end too.
fn fail(cluster: &Cluster, error: &anyhow::Error) {
    cluster.fail(error.downcast_ref(), &format!("{error:#}"));
}
