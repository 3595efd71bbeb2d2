//! Making namespaces, owners and probe pods.

use std::{collections::BTreeMap, time::Duration, time::Instant};

use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace, Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::Api;
use netproof_probe::wire;

use super::{
    Cluster, Error, ErrorKind, RunContext, marks,
    pod_spec::{self, Guest},
    run_context,
};
use crate::{model::Labels, plan::PlannedPod};

/// How long a new namespace may take to get its `default` service account, without which
/// no pod is admitted.
const SERVICE_ACCOUNT: Duration = Duration::from_secs(20);

/// A probe pod as the API server took it.
#[derive(Clone, Debug)]
pub struct CreatedPod {
    /// Its uid.
    pub uid: String,
    /// When the server's answer came.
    pub written: Instant,
}

impl RunContext {
    /// Creates a namespace of the suite's. One that exists is never taken over.
    ///
    /// # Errors
    /// It exists already, or may not be created.
    pub async fn create_namespace(
        &self,
        name: &str,
        labels: &Labels,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Instant, Error> {
        let mut metadata = self.metadata(name);
        metadata.labels.get_or_insert_default().extend(labels.clone());
        // The suite's labels may not hide whose it is.
        metadata
            .labels
            .get_or_insert_default()
            .extend(self.metadata(name).labels.unwrap_or_default());
        metadata.annotations = Some(annotations.clone());
        let namespaces: Api<Namespace> = Api::all(self.client());
        let what = format!("create namespace {name}");
        let namespace = Namespace { metadata, ..Namespace::default() };
        let created =
            Cluster::call(&what, namespaces.create(&run_context::writing(), &namespace)).await;
        match created {
            Ok(_) => {
                self.memory().namespaces.insert(name.to_owned());
                Ok(Instant::now())
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let found =
                    Cluster::call(format!("get namespace {name}"), namespaces.get(name)).await?;
                if marks::run_of(&found.metadata).as_ref() == Some(self.run()) {
                    self.memory().namespaces.insert(name.to_owned());
                    return Ok(Instant::now());
                }
                let message = "it exists already, and a namespace that the run did not make is \
                               never taken over";
                Err(Error::new(what, ErrorKind::AlreadyExists, message))
            }
            Err(error) => Err(error),
        }
    }

    /// Creates the control namespace, at the `restricted` Pod Security level.
    ///
    /// # Errors
    /// As [`Self::create_namespace`].
    pub async fn create_control_namespace(&self, name: &str) -> Result<Instant, Error> {
        let labels = Labels::from([(
            "pod-security.kubernetes.io/enforce".to_owned(),
            "restricted".to_owned(),
        )]);
        self.create_namespace(name, &labels, &BTreeMap::new()).await
    }

    /// Creates the ConfigMap `np-<run>` that owns the run's objects in a namespace that
    /// the run did not create. Pods and objects created there afterwards name it as owner.
    ///
    /// # Errors
    /// It may not be created.
    pub async fn create_owner(&self, namespace: &str) -> Result<(), Error> {
        let name = marks::run_object(self.run());
        let configmaps: Api<ConfigMap> = Api::namespaced(self.client(), namespace);
        let mut metadata = self.metadata(&name);
        let lease_namespace = self.memory().control_namespace.clone();
        metadata.annotations = lease_namespace
            .map(|namespace| BTreeMap::from([(marks::LEASE_NAMESPACE.to_owned(), namespace)]));
        let configmap = ConfigMap {
            metadata,
            data: Some(BTreeMap::from([(
                "README".to_owned(),
                format!(
                    "Owner of all that netproof's run {} has put into this namespace.\n\
                     Deleting it removes all of that; so does `netproof cleanup`.\n",
                    self.run()
                ),
            )])),
            ..ConfigMap::default()
        };
        let what = format!("create configmap {namespace}/{name}");
        let writing = run_context::writing();
        let creating = || configmaps.create(&writing, &configmap);
        let created = match Cluster::call_again(&what, creating).await {
            // The name holds the run's id: it is ours.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Cluster::call(what, configmaps.get(&name)).await?
            }
            created => created?,
        };
        self.made::<ConfigMap>(namespace, &name, created.metadata.uid.clone());
        let owner = OwnerReference {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            name,
            uid: created.metadata.uid.unwrap_or_default(),
            ..OwnerReference::default()
        };
        self.memory().owners.insert(namespace.to_owned(), owner);
        Ok(())
    }

    /// Creates a probe pod. With `gate` it stays out of every Service; with `controller`
    /// its owner is a controller, so that no other one adopts it.
    ///
    /// # Errors
    /// The pod is refused, or exists already.
    pub async fn create_pod(
        &self,
        planned: &PlannedPod,
        gate: bool,
        controller: bool,
    ) -> Result<CreatedPod, Error> {
        self.create_pod_that_dials(planned, gate, controller, None).await
    }

    /// The same, of a pod whose agent dials from its first instant on.
    ///
    /// # Errors
    /// As [`Self::create_pod`].
    pub async fn create_pod_that_dials(
        &self,
        planned: &PlannedPod,
        gate: bool,
        controller: bool,
        startup: Option<&wire::Startup>,
    ) -> Result<CreatedPod, Error> {
        let (namespace, name) = (&planned.namespace, &planned.name);
        if controller && self.owner(namespace).is_none() {
            self.create_owner(namespace).await?;
        }
        let owner = self
            .owner(namespace)
            .map(|owner| OwnerReference { controller: controller.then_some(true), ..owner });
        let guest = Guest { run: self.run(), agent: self.agent(), owner, gate, startup };
        let pod = pod_spec::manifest(planned, guest);
        self.memory()
            .control_ports
            .insert((namespace.clone(), name.clone()), pod_spec::control_port(planned));

        let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
        let what = format!("create pod {namespace}/{name}");
        let begun = Instant::now();
        let mut pause = Duration::from_millis(50);
        let writing = run_context::writing();
        let created = loop {
            match Cluster::call_again(&what, || pods.create(&writing, &pod)).await {
                // The service account of a new namespace is made by a controller. Watching
                // for it would need a permission that nothing else here needs.
                Err(error)
                    if error.lacks_service_account() && begun.elapsed() < SERVICE_ACCOUNT =>
                {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    let found =
                        Cluster::call(format!("get pod {namespace}/{name}"), pods.get(name))
                            .await?;
                    if marks::run_of(&found.metadata).as_ref() == Some(self.run()) {
                        break found;
                    }
                    return Err(error);
                }
                created => break created?,
            }
        };
        self.made::<Pod>(namespace, name, created.metadata.uid.clone());
        let uid = created.metadata.uid.unwrap_or_default();
        Ok(CreatedPod { uid, written: Instant::now() })
    }
}
