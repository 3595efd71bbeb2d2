//! The Lease by which a run tells sweepers that it lives.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Cluster, Error, ErrorKind, RunContext, marks, run_context};

/// How long a Lease is good for: a sweeper that has itself seen it unchanged for this long
/// takes the run for dead.
pub(super) const DURATION: Duration = Duration::from_secs(15);

/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(3);

/// How long renewing may fail before the run is told, well before a sweeper acts.
const GIVE_UP: Duration = Duration::from_secs(12);

/// A run's Lease, renewed every 3 s in the background until this is dropped. The object
/// itself is removed by the sweep.
pub struct RunLease {
    lost: CancellationToken,
    reason: Arc<OnceLock<String>>,
    _stop: DropGuard,
}

impl RunLease {
    /// Creates the Lease `np-<run>` and begins to renew it.
    ///
    /// # Errors
    /// It may not be created.
    pub async fn acquire(context: &RunContext, namespace: &str) -> Result<Self, Error> {
        let name = marks::run_object(context.run());
        let leases: Api<Lease> = Api::namespaced(context.client(), namespace);
        let mut metadata = context.metadata(&name);
        metadata.owner_references = context.owner(namespace).map(|owner| vec![owner]);
        let now = MicroTime(Timestamp::now());
        let lease = Lease {
            metadata,
            spec: Some(LeaseSpec {
                holder_identity: Some(marks::MANAGER.to_owned()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        };
        let what = format!("create lease {namespace}/{name}");
        let writing = run_context::writing();
        match Cluster::call_again(&what, || leases.create(&writing, &lease)).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            answer => {
                answer?;
            }
        }
        context.made::<Lease>(namespace, &name, None);

        let (lost, reason, stop) =
            (CancellationToken::new(), Arc::new(OnceLock::new()), CancellationToken::new());
        let what = format!("renew lease {namespace}/{name}");
        let renewal = Renewal { leases, name, what };
        let (told, why, stopped) = (lost.clone(), reason.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                error = renewal.run() => {
                    let _ = why.set(error);
                    told.cancel();
                }
            }
        });
        Ok(Self { lost, reason, _stop: stop.drop_guard() })
    }

    /// Fires when the Lease is gone or could not be renewed for 12 s: a sweeper may take
    /// the run's objects away at any time.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Why [`Self::lost`] has fired.
    pub fn reason(&self) -> Option<String> {
        self.reason.get().cloned()
    }
}

struct Renewal {
    leases: Api<Lease>,
    name: String,
    what: String,
}

impl Renewal {
    /// Renews until that has failed for too long, and says why.
    async fn run(&self) -> String {
        let mut tick = tokio::time::interval(RENEW);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewed = Instant::now();
        loop {
            tick.tick().await;
            let begun = Instant::now();
            // A connection that died silently must not use up all the time there is.
            let failure = match tokio::time::timeout(RENEW, self.renew()).await {
                Ok(Ok(())) => {
                    renewed = begun;
                    continue;
                }
                Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
                    return format!("{error} (somebody has swept this run)");
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("{}: no answer", self.what),
            };
            if renewed.elapsed() >= GIVE_UP {
                return failure;
            }
        }
    }

    async fn renew(&self) -> Result<(), Error> {
        let patch = Patch::Merge(json!({"spec": {"renewTime": MicroTime(Timestamp::now())}}));
        let parameters = PatchParams {
            field_manager: Some(marks::MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let renewing = self.leases.patch(&self.name, &parameters, &patch);
        Cluster::call(self.what.as_str(), renewing).await.map(|_| ())
    }
}
