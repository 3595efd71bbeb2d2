//! The launched pods: their addresses, their sessions, and questions put through them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures::future::join_all;
use netproof_probe::wire::{Probe, Timing};
use rand::RngExt;

use super::dial::{Dial, Dialled, Seen, seen};
use crate::{
    cluster::{Meddling, PodState, Pods, Session},
    model::{Family, Labels},
    plan::{CaseId, Plan, PlannedPod, PodIndex},
    verdict::Observation,
};

/// What a batch may take beyond its probes' own time: the way there and back through
/// the API server, and once a session that is made anew.
const BATCH_MARGIN: Duration = Duration::from_secs(10);

/// Pods that run and the sessions to their agents.
pub(super) struct Live<'a> {
    pub plan: &'a Plan,
    pub pods: Pods,
    /// What others change in the namespaces that are asked in.
    pub meddling: Option<Meddling>,
    /// Labels that a step has given to pods.
    labels: BTreeMap<PodIndex, Labels>,
    sessions: BTreeMap<PodIndex, Session>,
    /// Connections that were opened before a step's changes: how to use each, or why not.
    held: BTreeMap<CaseId, Result<Dial, String>>,
    next: AtomicU64,
    rate: Option<u32>,
    /// Who signs the API server's certificate, as PEM.
    pub authority: Option<String>,
    /// Who answers in the agents' place.
    #[cfg(test)]
    pub network: Option<Network<'a>>,
}

/// What a made-up network says to questions that are tried so long and so often.
#[cfg(test)]
pub(super) type Network<'a> = Box<dyn Fn(&BTreeSet<Dial>, Timing) -> Dialled + Send + Sync + 'a>;

impl<'a> Live<'a> {
    pub fn new(plan: &'a Plan, pods: Pods, rate: Option<u32>) -> Self {
        Self {
            plan,
            pods,
            meddling: None,
            labels: BTreeMap::new(),
            sessions: BTreeMap::new(),
            held: BTreeMap::new(),
            next: AtomicU64::new(1),
            rate,
            authority: None,
            #[cfg(test)]
            network: None,
        }
    }

    pub fn add(&mut self, pod: PodIndex, session: Session) {
        self.sessions.insert(pod, session);
    }

    /// A number that was not given before.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes how to use a connection that stands, or why there is none.
    pub fn hold(&mut self, case: CaseId, connection: Result<Dial, String>) {
        self.held.insert(case, connection);
    }

    /// How to use the connection of a case that was opened before the changes.
    pub fn held(&self, case: &CaseId) -> Result<Dial, Observation> {
        let none = || Err("no connection was opened before the change".to_owned());
        let held = self.held.get(case).cloned().unwrap_or_else(none);
        held.map_err(|message| Observation::NotEstablished { message })
    }

    /// The labels that a pod has by now, netproof's own apart.
    pub fn labels(&self, pod: PodIndex) -> &Labels {
        self.labels.get(&pod).unwrap_or(&self.plan.pod(pod).labels)
    }

    /// Notes that a step has given a pod other labels.
    pub fn relabel(&mut self, pod: PodIndex, labels: Labels) {
        self.labels.insert(pod, labels);
    }

    /// Forgets the sessions of pods that are about to be removed.
    pub fn retain(&mut self, keep: impl Fn(PodIndex) -> bool) {
        self.sessions.retain(|pod, _| keep(*pod));
    }

    /// The pod as the cluster has it.
    pub fn state(&self, pod: PodIndex) -> Option<PodState> {
        let planned = self.plan.pod(pod);
        self.pods.state(&planned.namespace, &planned.name)
    }

    /// The pod's address of a family.
    pub fn address(&self, pod: PodIndex, family: Family) -> Option<IpAddr> {
        let state = self.state(pod)?;
        state.addresses.iter().copied().find(|address| Family::of(*address) == family)
    }

    /// A pod for people: `shop/np-abcdef-web-0 (10.0.0.1, node-1)`.
    pub fn place(&self, pod: PodIndex, family: Family) -> String {
        let planned = self.plan.pod(pod);
        let address = self.address(pod, family).map(|address| format!("{address}, "));
        let (namespace, name, node) = (&planned.namespace, &planned.name, &planned.node);
        format!("{namespace}/{name} ({}{node})", address.unwrap_or_default())
    }

    /// What a webhook or a person has made of the pods, or of the policies and labels that
    /// decide about them, by the server's own account.
    pub fn strange(&self) -> BTreeMap<PodIndex, String> {
        let meddled = self.meddling.as_ref().map(Meddling::seen).unwrap_or_default();
        let of_namespace = |pod: PodIndex| meddled.get(&self.plan.pod(pod).namespace).cloned();
        let pods = self.sessions.keys();
        pods.filter_map(|pod| Some((*pod, self.difference(*pod).or_else(|| of_namespace(*pod))?)))
            .collect()
    }

    /// How a pod differs from what the plan says, if it does.
    pub fn difference(&self, pod: PodIndex) -> Option<String> {
        let planned = self.plan.pod(pod);
        let planned = PlannedPod { labels: self.labels(pod).clone(), ..planned.clone() };
        let differences = self.state(pod)?.differs_from(&planned);
        (!differences.is_empty())
            .then(|| format!("pod {}: {}", planned.name, differences.join("; ")))
    }

    /// The error of the clocks that date what these two pods saw.
    pub fn clock_error(&self, pod: PodIndex) -> Option<Duration> {
        Some(self.sessions.get(&pod)?.clock()?.error)
    }

    /// Asks all questions at once and waits for the slowest.
    pub async fn dial(&self, dials: &BTreeSet<Dial>, timing: Timing) -> Dialled {
        #[cfg(test)]
        if let Some(network) = &self.network {
            return network(dials, timing);
        }
        let started = Instant::now();
        let mut by_source = BTreeMap::<PodIndex, Vec<&Dial>>::new();
        for dial in dials {
            by_source.entry(dial.source).or_default().push(dial);
        }
        let batches =
            by_source.into_iter().map(|(source, dials)| self.batch(source, dials, timing, started));
        let seen = join_all(batches).await.into_iter().flatten().collect();
        Dialled { started, ended: Instant::now(), seen }
    }

    async fn batch(
        &self,
        source: PodIndex,
        dials: Vec<&Dial>,
        timing: Timing,
        started: Instant,
    ) -> Vec<(Dial, Vec<Seen>)> {
        let failed = |message: &str| Seen {
            address: None,
            observation: Observation::AgentFailed { message: message.to_owned() },
            at: started,
        };
        let Some(session) = self.sessions.get(&source) else {
            let seen = failed("no session was opened to this pod");
            return dials.into_iter().map(|dial| (dial.clone(), vec![seen.clone()])).collect();
        };
        let first = self.next.fetch_add(dials.len() as u64, Ordering::Relaxed);
        let probes: Vec<Probe> =
            (first..).zip(&dials).map(|(id, dial)| dial.probe(id, nonce(), timing)).collect();
        let rate = self.rate_of(source);
        let longest = dials
            .iter()
            .map(|dial| dial.timing(timing))
            .max_by_key(|timing| u64::from(timing.window) + u64::from(timing.reply));
        let deadline = started + batch_time(longest.unwrap_or(timing), rate, probes.len());
        let mut outcome = session.batch(probes, rate, deadline).await;
        let clock = session.clock();
        let lost = outcome.error.as_ref().map_or_else(
            || "the agent gave no result for this probe".to_owned(),
            ToString::to_string,
        );
        (first..)
            .zip(dials)
            .map(|(id, dial)| {
                let seen = match outcome.results.remove(&id) {
                    Some(result) => seen(dial, &result, clock.as_ref(), started),
                    None => vec![failed(&lost)],
                };
                (dial.clone(), seen)
            })
            .collect()
    }

    /// A node's limit, shared by the pods that dial from it.
    fn rate_of(&self, source: PodIndex) -> Option<u32> {
        let node = &self.plan.pod(source).node;
        let sharing = self.sessions.keys().filter(|pod| self.plan.pod(**pod).node == *node).count();
        let sharing = u32::try_from(sharing).unwrap_or(u32::MAX).max(1);
        self.rate.map(|rate| (rate / sharing).max(1))
    }
}

fn batch_time(timing: Timing, rate: Option<u32>, probes: usize) -> Duration {
    let attempts = probes as u64 * u64::from(timing.attempts);
    let paced = rate.map_or(Duration::ZERO, |rate| {
        Duration::from_secs(attempts.div_ceil(u64::from(rate.max(1))))
    });
    Duration::from_millis(u64::from(timing.window) + u64::from(timing.reply)) + paced + BATCH_MARGIN
}

fn nonce() -> String {
    let random: [u8; 16] = rand::rng().random();
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
