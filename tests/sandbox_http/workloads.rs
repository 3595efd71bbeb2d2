//! Workloads come to life.

use netproof::sandbox::api::{
    delete::{DeleteOptions, Propagation},
    object::Object,
    resource::{
        CONFIG_MAPS, CONTROLLER_REVISIONS, DAEMON_SETS, DEPLOYMENTS, NODES,
        PERSISTENT_VOLUME_CLAIMS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, SERVICE_ACCOUNTS,
        STATEFUL_SETS,
    },
};
use serde_json::{Value, json};

use super::cluster::{Cluster, cluster, workload};

/// Status and reason of a condition.
pub fn condition(object: &Value, kind: &str) -> (String, String) {
    let list = object.items("/status/conditions").iter();
    let found = list.clone().find(|one| one["type"] == kind);
    found.map_or_else(Default::default, |one| {
        (one.text("/status").to_owned(), one.text("/reason").to_owned())
    })
}

fn is_rolled_out(cluster: &Cluster, name: &str, replicas: i64) -> bool {
    let deployment = cluster.get(&DEPLOYMENTS, name).expect("it is there");
    let status = &deployment["status"];
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && status["updatedReplicas"] == replicas
        && status["replicas"] == replicas
        && status["availableReplicas"] == replicas
}

fn set_image(
    cluster: &Cluster,
    kind: &'static netproof::sandbox::api::resource::Resource,
    name: &str,
    image: &str,
) {
    cluster.change(kind, name, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    });
}

#[tokio::test]
async fn a_deployment_rolls_out_and_back() {
    let cluster = cluster(2).await;
    cluster.create(&DEPLOYMENTS, workload("web", "web", json!({"replicas": 4})));
    cluster.until("the first revision is out", |cluster| is_rolled_out(cluster, "web", 4)).await;
    let deployment = cluster.get(&DEPLOYMENTS, "web").expect("it is there");
    assert_eq!(
        condition(&deployment, "Available"),
        ("True".into(), "MinimumReplicasAvailable".into())
    );
    assert_eq!(
        condition(&deployment, "Progressing"),
        ("True".into(), "NewReplicaSetAvailable".into())
    );
    let sets = cluster.list(&REPLICA_SETS);
    assert_eq!(sets.len(), 1);
    let hash = sets[0].labels()["pod-template-hash"].clone();
    assert_eq!(sets[0].name(), format!("web-{hash}"));
    for pod in cluster.pods("web") {
        let rest = pod.name().strip_prefix(&format!("web-{hash}-")).map(str::len);
        assert_eq!(rest, Some(5), "{}", pod.name());
    }

    set_image(&cluster, &DEPLOYMENTS, "web", "a:2");
    cluster.until("the second revision is out", |cluster| is_rolled_out(cluster, "web", 4)).await;
    let revisions = |cluster: &Cluster| -> Vec<String> {
        let sets = cluster.list(&REPLICA_SETS);
        let mut found: Vec<_> = sets
            .iter()
            .map(|set| {
                let revision = &set["metadata"]["annotations"]["deployment.kubernetes.io/revision"];
                format!("{} {}", revision.as_str().unwrap_or("?"), set["spec"]["replicas"])
            })
            .collect();
        found.sort();
        found
    };
    assert_eq!(revisions(&cluster), ["1 0", "2 4"]);
    set_image(&cluster, &DEPLOYMENTS, "web", "a:1");
    cluster.until("the first is back", |cluster| revisions(cluster) == ["2 0", "3 4"]).await;
    assert_eq!(cluster.list(&REPLICA_SETS).len(), 2, "and no third was made");
    let said = cluster.said("web");
    assert!(
        said.contains(&(
            "ScalingReplicaSet".into(),
            format!("Scaled up replica set web-{hash} from 0 to 4")
        )),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_rollout_that_is_stuck_leaves_enough_pods_and_says_so() {
    let cluster = cluster(2).await;
    let spec = json!({"replicas": 4, "progressDeadlineSeconds": 1});
    cluster.create(&DEPLOYMENTS, workload("web", "web", spec));
    cluster.until("it is out", |cluster| is_rolled_out(cluster, "web", 4)).await;
    cluster.change(&DEPLOYMENTS, "web", |object| {
        object["spec"]["template"]["metadata"]["annotations"] = json!({"test/phase": "Pending"});
    });
    cluster
        .until("its time is over", |cluster| {
            let deployment = cluster.get(&DEPLOYMENTS, "web").expect("it is there");
            condition(&deployment, "Progressing")
                == ("False".into(), "ProgressDeadlineExceeded".into())
        })
        .await;
    let deployment = cluster.get(&DEPLOYMENTS, "web").expect("it is there");
    assert_eq!(deployment["status"]["availableReplicas"], 3, "one of four may be missing");
    assert_eq!(deployment["status"]["replicas"], 5, "one more than four may be there");
}

#[tokio::test]
async fn a_paused_deployment_scales_but_does_not_roll() {
    let cluster = cluster(2).await;
    cluster.create(&DEPLOYMENTS, workload("web", "web", json!({"replicas": 2})));
    cluster.until("it is out", |cluster| is_rolled_out(cluster, "web", 2)).await;
    cluster.change(&DEPLOYMENTS, "web", |object| {
        object["spec"]["paused"] = true.into();
        object["spec"]["replicas"] = 3.into();
        object["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2".into();
    });
    cluster.until("three are there", |cluster| cluster.pods("web").len() == 3).await;
    assert_eq!(cluster.list(&REPLICA_SETS).len(), 1, "of the old revision");
    let deployment = cluster.get(&DEPLOYMENTS, "web").expect("it is there");
    assert_eq!(
        condition(&deployment, "Progressing"),
        ("Unknown".into(), "DeploymentPaused".into())
    );
    cluster.change(&DEPLOYMENTS, "web", |object| object["spec"]["paused"] = false.into());
    cluster.until("it rolls on", |cluster| is_rolled_out(cluster, "web", 3)).await;
}

#[tokio::test]
async fn recreating_ends_the_old_before_the_new_begins() {
    let cluster = cluster(2).await;
    let spec = json!({"replicas": 2, "strategy": {"type": "Recreate"}, "revisionHistoryLimit": 0});
    cluster.create(&DEPLOYMENTS, workload("web", "web", spec));
    cluster.until("it is out", |cluster| is_rolled_out(cluster, "web", 2)).await;
    let (_, _, mut events) = cluster.store.list_and_watch(&PODS);
    set_image(&cluster, &DEPLOYMENTS, "web", "a:2");
    cluster.until("it is out again", |cluster| is_rolled_out(cluster, "web", 2)).await;
    let mut old = 2;
    while let Ok(event) = events.try_recv() {
        use netproof::sandbox::api::store::Change;
        let image = event.object.text("/spec/containers/0/image");
        match event.change {
            Change::Deleted => old -= 1,
            Change::Added if image == "a:2" => assert_eq!(old, 0, "an old pod is still there"),
            _ => {}
        }
    }
    cluster
        .until("no old revision is kept", |cluster| cluster.list(&REPLICA_SETS).len() == 1)
        .await;
}

#[tokio::test]
async fn orphans_are_adopted_and_strangers_released() {
    let cluster = cluster(2).await;
    let pod = |name: &str| {
        json!({
            "metadata": {"name": name, "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "a", "image": "a"}]},
        })
    };
    cluster.create(&PODS, pod("orphan"));
    cluster
        .until("it runs", |cluster| {
            cluster.get(&PODS, "orphan").is_some_and(|pod| pod["status"]["phase"] == "Running")
        })
        .await;
    cluster.create(
        &REPLICATION_CONTROLLERS,
        json!({
            "metadata": {"name": "old"},
            "spec": {"replicas": 2, "selector": {"app": "web"}, "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "a", "image": "a"}]},
            }},
        }),
    );
    cluster.until("one more is made", |cluster| cluster.pods("web").len() == 2).await;
    let controller = |name: &str| {
        let pod = cluster.get(&PODS, name).expect("it is there");
        pod.items("/metadata/ownerReferences").first().map(|owner| owner["kind"].clone())
    };
    assert_eq!(controller("orphan"), Some("ReplicationController".into()));

    cluster.change(&PODS, "orphan", |pod| pod["metadata"]["labels"]["app"] = "mine".into());
    cluster.until("it is replaced", |cluster| cluster.pods("web").len() == 2).await;
    cluster.until("it is let go", |_| controller("orphan").is_none()).await;
    cluster.create(&PODS, pod("surplus"));
    assert!(cluster.said("old").iter().all(|(reason, _)| reason != "SuccessfulDelete"));
    cluster
        .until("a newcomer is one too many, and told", |cluster| {
            let told = cluster.said("old").iter().any(|(reason, _)| reason == "SuccessfulDelete");
            told && cluster.pods("web").len() == 2
        })
        .await;
    assert!(cluster.get(&PODS, "orphan").is_some(), "the stranger is left alone");
}

#[tokio::test]
async fn what_admission_refuses_becomes_an_event_and_a_condition() {
    let cluster = cluster(1).await;
    let mut set = workload("web", "web", json!({"replicas": 1}));
    set["spec"]["template"]["spec"]["serviceAccountName"] = "nobody".into();
    cluster.create(&REPLICA_SETS, set);
    cluster
        .until("refused, and said", |cluster| {
            let set = cluster.get(&REPLICA_SETS, "web").expect("it is there");
            condition(&set, "ReplicaFailure") == ("True".into(), "FailedCreate".into())
                && !cluster.said("web").is_empty()
        })
        .await;
    assert!(cluster.pods("web").is_empty());
    let expected = "Error creating: pods \"web-\" is forbidden: error looking up service account \
                    default/nobody: serviceaccount \"nobody\" not found";
    let said = cluster.said("web");
    assert!(said.contains(&("FailedCreate".into(), expected.into())), "{said:?}");

    cluster.create(&SERVICE_ACCOUNTS, json!({"metadata": {"name": "nobody"}}));
    cluster.until("it is made when it may", |cluster| cluster.pods("web").len() == 1).await;
    cluster
        .until("nothing fails any more", |cluster| {
            let set = cluster.get(&REPLICA_SETS, "web").expect("it is there");
            condition(&set, "ReplicaFailure").0.is_empty()
        })
        .await;
}

#[tokio::test]
async fn pods_of_a_stateful_set_come_and_go_one_after_another() {
    let cluster = cluster(2).await;
    let (_, _, mut events) = cluster.store.list_and_watch(&PODS);
    let spec = json!({
        "replicas": 3, "serviceName": "dbs",
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }}],
    });
    cluster.create(&STATEFUL_SETS, workload("db", "db", spec));
    let settled = |cluster: &Cluster, replicas: i64| {
        let set = cluster.get(&STATEFUL_SETS, "db").expect("it is there");
        let status = &set["status"];
        status["availableReplicas"] == replicas
            && status["replicas"] == replicas
            && status["observedGeneration"] == set["metadata"]["generation"]
            && status["currentRevision"] == status["updateRevision"]
    };
    cluster.until("three are there", |cluster| settled(cluster, 3)).await;
    let mut ready = 0;
    while let Ok(event) = events.try_recv() {
        use netproof::sandbox::api::{conditions::holds, store::Change};
        if event.change == Change::Added {
            assert_eq!(
                event.object.name(),
                format!("db-{ready}"),
                "after its predecessor is ready"
            );
        }
        let before = event.previous.as_ref().is_some_and(|pod| holds(pod, "Ready"));
        ready += usize::from(!before && holds(&event.object, "Ready"));
    }
    let claims = cluster.list(&PERSISTENT_VOLUME_CLAIMS);
    let claims: Vec<_> =
        claims.iter().map(|claim| (claim.name(), claim.text("/status/phase"))).collect();
    assert_eq!(claims, [("data-db-0", "Bound"), ("data-db-1", "Bound"), ("data-db-2", "Bound")]);

    cluster.change(&STATEFUL_SETS, "db", |set| {
        set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 2.into();
        set["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2".into();
    });
    let images = |cluster: &Cluster| -> Vec<String> {
        let pods = cluster.pods("db");
        pods.iter().map(|pod| pod.text("/spec/containers/0/image").to_owned()).collect()
    };
    cluster.until("only the last is new", |cluster| images(cluster) == ["a:1", "a:1", "a:2"]).await;
    cluster.change(&STATEFUL_SETS, "db", |set| {
        set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 0.into();
    });
    cluster.until("all are new", |cluster| images(cluster) == ["a:2"; 3]).await;
    cluster.until("the update is through", |cluster| settled(cluster, 3)).await;
    assert_eq!(cluster.list(&CONTROLLER_REVISIONS).len(), 2);
    cluster.change(&STATEFUL_SETS, "db", |set| set["spec"]["replicas"] = 1.into());
    cluster.until("one is left", |cluster| settled(cluster, 1)).await;
    assert_eq!(cluster.pods("db")[0].name(), "db-0");
    assert_eq!(cluster.list(&PERSISTENT_VOLUME_CLAIMS).len(), 3, "claims are retained");
}

#[tokio::test]
async fn a_daemon_set_is_on_every_node_that_it_may_run_on() {
    let cluster = cluster(3).await;
    let node = |name: &str, change: &dyn Fn(&mut Value)| {
        cluster.store.write(|writer| {
            let mut node = Value::clone(&writer.get(&NODES, "", name).expect("a node"));
            change(&mut node);
            writer.put(&NODES, node);
        });
    };
    node("node-3", &|node| {
        node["spec"]["taints"] = json!([{"key": "only", "effect": "NoSchedule"}]);
    });
    cluster.create(&DAEMON_SETS, workload("agent", "agent", json!({})));
    let on = |cluster: &Cluster| -> Vec<String> {
        let mut nodes: Vec<_> =
            cluster.pods("agent").iter().map(|pod| pod.text("/spec/nodeName").to_owned()).collect();
        nodes.sort();
        nodes
    };
    cluster.until("it is on two", |cluster| on(cluster) == ["node-1", "node-2"]).await;
    node("node-3", &|node| {
        node["spec"]["taints"] = json!([]);
        // Cordoned nodes count as well.
        node["spec"]["unschedulable"] = true.into();
    });
    cluster.until("it is on three", |cluster| on(cluster) == ["node-1", "node-2", "node-3"]).await;
    set_image(&cluster, &DAEMON_SETS, "agent", "a:2");
    cluster
        .until("all are new", |cluster| {
            let set = cluster.get(&DAEMON_SETS, "agent").expect("it is there");
            set["status"]["updatedNumberScheduled"] == 3 && set["status"]["numberAvailable"] == 3
        })
        .await;
    node("node-2", &|node| {
        node["spec"]["taints"] = json!([{"key": "out", "effect": "NoExecute"}]);
    });
    cluster.until("it has left one", |cluster| on(cluster) == ["node-1", "node-3"]).await;
}

#[tokio::test]
async fn what_a_deployment_has_made_goes_with_it_or_stays() {
    let cluster = cluster(2).await;
    for (propagation, stays) in [
        (Propagation::Foreground, false),
        (Propagation::Background, false),
        (Propagation::Orphan, true),
    ] {
        cluster.create(&DEPLOYMENTS, workload("web", "web", json!({"replicas": 2})));
        cluster.until("it is out", |cluster| is_rolled_out(cluster, "web", 2)).await;
        let options = DeleteOptions { propagation, ..DeleteOptions::default() };
        cluster.delete(&DEPLOYMENTS, "web", &options);
        cluster.until("it is gone", |cluster| cluster.get(&DEPLOYMENTS, "web").is_none()).await;
        if stays {
            let sets = cluster.list(&REPLICA_SETS);
            assert!(sets.len() == 1 && sets[0].owners().is_empty(), "the orphan stays");
            assert_eq!(cluster.pods("web").len(), 2);
            // A Deployment of the same selector takes it over.
            cluster.create(&DEPLOYMENTS, workload("web", "web", json!({"replicas": 2})));
            cluster.until("it is adopted", |cluster| is_rolled_out(cluster, "web", 2)).await;
            assert_eq!(cluster.list(&REPLICA_SETS).len(), 1);
        } else {
            cluster
                .until("so is the rest", |cluster| {
                    cluster.list(&REPLICA_SETS).is_empty() && cluster.list(&PODS).is_empty()
                })
                .await;
        }
    }
}

#[tokio::test]
async fn owners_are_looked_for_as_kubernetes_does() {
    let cluster = cluster(0).await;
    let owner = cluster.create(&CONFIG_MAPS, json!({"metadata": {"name": "owner"}}));
    let owned = |name: &str, reference: Value| {
        let mut map = json!({"metadata": {"name": name}});
        let mut known = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid(),
        });
        for (key, value) in reference.as_object().into_iter().flatten() {
            known[key] = value.clone();
        }
        map["metadata"]["ownerReferences"] = json!([known]);
        map
    };
    for (name, reference, stays) in [
        ("kept", json!({}), true),
        ("another-uid", json!({"uid": "other"}), false),
        ("another-name", json!({"name": "other"}), false),
        ("another-kind", json!({"kind": "Secret"}), false),
        (
            "unknown-kind",
            json!({"apiVersion": "example.com/v1", "kind": "Thing", "uid": "x"}),
            true,
        ),
    ] {
        cluster.create(&CONFIG_MAPS, owned(name, reference));
        if stays {
            // Whatever comes after it is judged after it.
            cluster.create(&CONFIG_MAPS, owned("probe", json!({"uid": "other"})));
            cluster
                .until("the probe is gone", |cluster| cluster.get(&CONFIG_MAPS, "probe").is_none())
                .await;
            assert!(cluster.get(&CONFIG_MAPS, name).is_some(), "{name} stays");
        } else {
            cluster.until(name, |cluster| cluster.get(&CONFIG_MAPS, name).is_none()).await;
        }
    }
}
