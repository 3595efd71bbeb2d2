//! What the policies say of a step's cases: read from the cluster while they are asked, and
//! again before anybody is accused.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::live::Live;
use crate::{
    cluster::{ErrorKind, PolicyState, RunContext},
    event::Event,
    model::{End, Traffic},
    plan::{Destination, PlannedCase},
    policy::{Compiled, Origin, PolicySet, Spec},
    report::EventSender,
    topology,
};

/// How long reading may take; the verdicts wait no longer for their causes.
const READ_WITHIN: Duration = Duration::from_secs(15);

/// The policies of a cluster as they stood, or why they aren't known.
pub(super) type Reading = Result<Compiled, String>;

/// What has been said once, and is not said again in this run.
#[derive(Default)]
pub(super) struct Said(Mutex<HashSet<String>>);

impl Said {
    /// True the first time.
    pub(super) fn is_new(&self, message: &str) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.insert(message.to_owned())
    }
}

/// What is needed to read.
pub(super) struct Reader<'a> {
    pub context: &'a RunContext,
    pub live: &'a Live<'a>,
    pub cases: &'a [&'a PlannedCase],
    pub events: &'a EventSender,
    pub said: &'a Said,
}

impl Reader<'_> {
    /// Reads and compiles everything that may decide about the cases. What can't be read is
    /// said, once in a run.
    pub async fn read(&self) -> Reading {
        let read = tokio::time::timeout(READ_WITHIN, self.state());
        let state = match read.await {
            Ok(Ok(state)) => state,
            Ok(Err(error)) => return Err(self.unreadable(&error).await),
            Err(_) => {
                let why = format!("it took longer than {} s", READ_WITHIN.as_secs());
                return Err(self.unreadable(&why).await);
            }
        };
        for missing in &state.missing {
            let message = format!("may not read {missing}: {}", missing.why);
            let remedy = match missing.decides {
                true => "such policies may decide; no cause of a failure is told where they may",
                false => "where an address may be one of these, no cause of a failure is told",
            };
            self.say(message, remedy).await;
        }
        let mut policies = match PolicySet::read(&state.objects, "default", Origin::Stored) {
            Ok(policies) => policies,
            Err(mistakes) => {
                let why = mistakes.first().map(ToString::to_string).unwrap_or_default();
                return Err(self.unreadable(&why).await);
            }
        };
        if let Some(words) = policies.foreign_in_words() {
            let message = format!("other kinds of policy may decide: {words}");
            let remedy = "they are not understood here: no cause of a failure is told where they \
                          may decide, and no CNI is accused";
            self.say(message, remedy).await;
        }
        policies.foreign.extend(state.foreign());
        policies.unread.extend(state.unread());
        let compiled = tokio::task::spawn_blocking(move || {
            let built = topology::build(&state.objects, "default");
            Compiled::new(policies, built.topology)
        });
        compiled.await.map_err(|error| error.to_string())
    }

    /// Everything, where an address may be anybody's; else the namespaces of the cases,
    /// for which fewer rights are enough.
    async fn state(&self) -> Result<PolicyState, String> {
        let near = self.near();
        let outside = |case: &PlannedCase| {
            matches!(case.destination, Destination::Address(_) | Destination::Host(_))
        };
        let cluster = self.context.cluster();
        if self.cases.iter().copied().any(outside) {
            match cluster.policy_state(None).await {
                Err(error) if error.kind() == ErrorKind::Forbidden => {}
                read => return read.map_err(|error| error.to_string()),
            }
            let mut state =
                cluster.policy_state(Some(&near)).await.map_err(|error| error.to_string())?;
            state.partial = true;
            return Ok(state);
        }
        let mut state =
            cluster.policy_state(Some(&near)).await.map_err(|error| error.to_string())?;
        // No case asks whose an address is.
        state.partial = false;
        Ok(state)
    }

    fn near(&self) -> BTreeSet<String> {
        let name = |pod| self.live.plan.pod(pod).namespace.clone();
        let of_case = |case: &PlannedCase| {
            let to = match &case.destination {
                Destination::Pod(pod) => Some(name(*pod)),
                Destination::Service { namespace, .. } => Some(namespace.clone()),
                _ => None,
            };
            [Some(name(case.source)), to]
        };
        self.cases.iter().copied().flat_map(of_case).flatten().collect()
    }

    async fn unreadable(&self, why: &str) -> String {
        let message = format!("the policies could not be read: {why}");
        let remedy = "the verdicts stand; what the policies say of them is undetermined";
        self.say(message.clone(), remedy).await;
        message
    }

    async fn say(&self, message: String, remedy: &str) {
        if self.said.is_new(&message) {
            let remedy = Some(remedy.to_owned());
            self.events.send(Event::Warning { message, remedy }).await;
        }
    }
}

/// Who was met, as far as a round has shown it.
pub(super) struct Met<'a> {
    /// The address that was dialled.
    pub address: Option<IpAddr>,
    /// The pod of this run that answered.
    pub by: Option<&'a str>,
}

/// What the policies said of a case before its rounds and after them. What changed in
/// between, whoever changed it, leaves it undetermined.
pub(super) fn spec(
    live: &Live<'_>,
    case: &PlannedCase,
    met: &Met<'_>,
    readings: (&Reading, &Reading),
) -> Spec {
    let one = |reading: &Reading| match reading {
        Ok(all) => of_case(all, live, case, met),
        Err(why) => Spec::unreadable(why.clone()),
    };
    let (before, after) = (one(readings.0), one(readings.1));
    if before.outcome == after.outcome {
        return after;
    }
    Spec::unknown(
        "changedMeanwhile",
        format!(
            "the policies changed meanwhile: first {} ({}), then {} ({})",
            before.outcome, before.because, after.outcome, after.because
        ),
    )
}

fn of_case(all: &Compiled, live: &Live<'_>, case: &PlannedCase, met: &Met<'_>) -> Spec {
    let asked = asked(all, live, case, met);
    let specs = asked.into_iter().map(|traffic| {
        let spec = all.spec(&traffic);
        match &case.destination {
            // A rule may go by the name.
            Destination::Host(name) if spec.is_undetermined() && traffic.via.is_none() => {
                let by_name = all.spec(&Traffic { to: End::Host(name.clone()), ..traffic });
                if by_name.is_undetermined() { spec } else { by_name }
            }
            _ => spec,
        }
    });
    Spec::of_any(specs)
        .unwrap_or_else(|| Spec::unknown("unknownEnd", "nothing is known of one of the ends"))
}

/// What nearly made a case come out otherwise.
pub(super) fn nearest(
    live: &Live<'_>,
    case: &PlannedCase,
    met: &Met<'_>,
    reading: &Reading,
) -> Vec<String> {
    let Ok(all) = reading else { return Vec::new() };
    let asked = asked(all, live, case, met);
    asked.first().map(|traffic| all.nearest(traffic)).unwrap_or_default()
}

/// The connections that decide a case: to whoever answered, or to all who may have.
fn asked(all: &Compiled, live: &Live<'_>, case: &PlannedCase, met: &Met<'_>) -> Vec<Traffic> {
    let found = connections(all, live, case, met);
    // Whoever answered is the one that was met; where nobody did, it may be any of them.
    let is_it = |traffic: &&Traffic| match (&traffic.to, met.by) {
        (End::Pod(pod), Some(by)) => {
            all.topology().pods().get(*pod).is_some_and(|pod| pod.name == by)
        }
        _ => false,
    };
    let answered: Vec<Traffic> = found.iter().filter(is_it).cloned().collect();
    if answered.is_empty() { found } else { answered }
}

/// The connections that a case may have made.
fn connections(all: &Compiled, live: &Live<'_>, case: &PlannedCase, met: &Met<'_>) -> Vec<Traffic> {
    let topology = all.topology();
    let pod = |index| {
        let planned = live.plan.pod(index);
        topology.pod(&planned.namespace, &planned.name)
    };
    let Some(from) = pod(case.source).map(End::Pod) else { return Vec::new() };
    let (protocol, number) = (case.port.protocol.transport(), case.port.number);
    let direct = |to: End| Traffic::new(from.clone(), to, protocol, number);
    let through = |service| topology::through(topology, &from, service, protocol, number);
    let at = |address: IpAddr| match topology::service_at(topology, address) {
        Some(service) => through(service),
        None => vec![direct(End::Address(address))],
    };
    let found = match &case.destination {
        Destination::Pod(to) => pod(*to).map(End::Pod).map(direct).into_iter().collect(),
        Destination::Service { namespace, name } => {
            let service = topology.service(namespace, name);
            // A backend that was dialled by its own address is met as itself.
            let own = met.address.and_then(|address| topology.owner(address));
            match (service, own) {
                (Some(service), Some(own)) => through(service)
                    .into_iter()
                    .filter(|traffic| traffic.to == End::Pod(own))
                    .map(|traffic| Traffic { via: None, ..traffic })
                    .collect(),
                (Some(service), None) => through(service),
                (None, _) => Vec::new(),
            }
        }
        Destination::Address(address) => at(*address),
        Destination::Host(name) => {
            let own = &live.plan.pod(case.source).namespace;
            match (topology::named_service(topology, name, own), met.address) {
                (Some(service), _) => through(service),
                (None, Some(address)) => at(address),
                (None, None) => vec![direct(End::Host(name.clone()))],
            }
        }
    };
    found.into_iter().map(|traffic| traffic.in_family(case.family)).collect()
}

#[cfg(test)]
mod tests;
