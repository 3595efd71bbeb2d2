//! Watches.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::{Value, json};

use super::kit::{DEADLINE, config_map, server};

#[tokio::test]
async fn a_watch_tells_what_enters_changes_and_leaves_its_selection() {
    let server = server().await;
    let maps = Api::<ConfigMap>::namespaced(server.client.clone(), "kube-public");
    let version =
        maps.list(&ListParams::default()).await.expect("a list").metadata.resource_version;
    let params = WatchParams::default().labels("app=web").timeout(20);
    let stream = maps.watch(&params, &version.expect("a version")).await.expect("a watch");
    let mut events = Box::pin(stream);

    let label = |value: Value| Patch::Merge(json!({"metadata": {"labels": {"app": value}}}));
    let nobody = PatchParams::default();
    maps.create(&PostParams::default(), &config_map("a", "1")).await.expect("unselected");
    maps.patch("a", &nobody, &label("web".into())).await.expect("enters");
    maps.patch("a", &nobody, &Patch::Merge(json!({"data": {"key": "2"}}))).await.expect("changes");
    maps.patch("a", &nobody, &label(Value::Null)).await.expect("leaves");
    maps.patch("a", &nobody, &label("web".into())).await.expect("enters again");
    maps.delete("a", &DeleteParams::default()).await.expect("goes");

    let mut seen = Vec::new();
    while seen.len() < 5 {
        let event = tokio::time::timeout(DEADLINE, events.next()).await.expect("in time");
        seen.push(match event.expect("more").expect("an event") {
            WatchEvent::Added(_) => "added",
            WatchEvent::Modified(_) => "modified",
            WatchEvent::Deleted(_) => "deleted",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(seen, ["added", "modified", "deleted", "added", "deleted"]);
}

#[tokio::test]
async fn kube_runtime_follows_a_collection() {
    let server = server().await;
    let maps = Api::<ConfigMap>::namespaced(server.client.clone(), "default");
    for config in [
        kube::runtime::watcher::Config::default(),
        kube::runtime::watcher::Config::default().streaming_lists(),
    ] {
        let stream = kube::runtime::watcher(maps.clone(), config);
        let mut objects = Box::pin(kube::runtime::WatchStreamExt::applied_objects(stream));
        let first = tokio::time::timeout(DEADLINE, objects.try_next()).await.expect("in time");
        assert!(first.expect("no error").is_some());
    }
}
