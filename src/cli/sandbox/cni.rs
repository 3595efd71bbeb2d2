//! Asking a sandbox's CNI, by its API.

use http::Request;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::{Trouble, state::Home};
use crate::model::chain;

/// A client of a sandbox that is up.
pub(super) async fn client(name: Option<&str>) -> Result<Client, Trouble> {
    let kept = Home::open()?.choose(name)?;
    let read = async {
        let written = Kubeconfig::read_from(kept.kubeconfig()).map_err(|error| chain(&error))?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(written, &options).await;
        let mut config = config.map_err(|error| chain(&error))?;
        // A log that is followed may be silent for long.
        config.read_timeout = None;
        Client::try_from(config).map_err(|error| chain(&error))
    };
    read.await.map_err(|error: String| {
        Trouble::machine(format!("read the kubeconfig of sandbox `{}`: {error}", kept.name))
    })
}

/// A request to the sandbox's own API group.
pub(super) fn get(path: &str) -> Result<Request<Vec<u8>>, Trouble> {
    Request::get(format!("/apis/sandbox.netproof.dev/v1alpha1/{path}"))
        .body(Vec::new())
        .map_err(|error| Trouble::input(format!("ask for `{path}`: {error}"), "give a plain name"))
}

/// Why the API did not answer.
pub(super) fn refused(error: kube::Error) -> Trouble {
    match &error {
        kube::Error::Api(status) => Trouble {
            message: status.message.clone(),
            remedy: Some(
                "`netproof sandbox status` says which sandboxes and nodes there are".to_owned(),
            ),
            exit: crate::cli::Exit::BadInput,
        },
        _ => Trouble::machine(format!("ask the sandbox: {}", chain(&error))),
    }
}
