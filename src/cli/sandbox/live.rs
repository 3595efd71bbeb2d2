//! What a sandbox's own API says of it.

use std::{path::Path, time::Duration};

use kube::{
    Api, Client, Config,
    api::{DynamicObject, ListParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, GroupVersionKind},
};
use tokio::time::timeout;

/// How long the API may take to answer.
const WITHIN: Duration = Duration::from_secs(3);

/// What there is now.
pub(super) struct Live {
    /// The API's address.
    pub server: String,
    /// The faults that are on; none if the API doesn't answer.
    pub faults: Option<Vec<String>>,
}

/// Asks the API; `None` without a kubeconfig that can be read.
pub(super) async fn ask(kubeconfig: &Path) -> Option<Live> {
    let written = Kubeconfig::read_from(kubeconfig).ok()?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(written, &options).await.ok()?;
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let faults = async {
        let client = Client::try_from(config).ok()?;
        let kind = GroupVersionKind::gvk("sandbox.netproof.dev", "v1alpha1", "Fault");
        let api: Api<DynamicObject> = Api::all_with(client, &ApiResource::from_gvk(&kind));
        let list = api.list(&ListParams::default()).await.ok()?;
        let fault = |object: DynamicObject| Some(object.data["spec"]["fault"].as_str()?.to_owned());
        Some(list.items.into_iter().filter_map(fault).collect())
    };
    let faults = timeout(WITHIN, faults).await.ok().flatten();
    Some(Live { server, faults })
}
