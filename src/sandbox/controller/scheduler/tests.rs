use serde_json::json;

use super::*;

/// Places pods on nodes, one after another, and tells where each went, or why nowhere.
fn place(nodes: Vec<Value>, pods: Vec<Value>) -> Vec<String> {
    let store = Arc::new(Store::new());
    let inbox = Arc::new(Inbox::default());
    store.observe(&inbox, &[]);
    let mut scheduler = Scheduler::new(Arc::clone(&store), Recorder::deaf());
    store.write(|writer| {
        for (name, team) in [("shop", "a"), ("lab", "b")] {
            let labels = json!({"team": team});
            writer.put(&NAMESPACES, json!({"metadata": {"name": name, "labels": labels}}));
        }
        for node in nodes {
            writer.put(&NODES, node);
        }
        for pod in &pods {
            writer.put(&PODS, pod.clone());
        }
    });
    for event in std::mem::take(&mut *inbox.events.lock().expect("no panic")) {
        scheduler.take(&event);
    }
    while scheduler.has_work() {
        scheduler.place_some();
    }
    pods.iter()
        .map(|pod| {
            let pod = store.get(&PODS, pod.namespace(), pod.name()).expect("it is there");
            match pod.text("/spec/nodeName") {
                "" => pod.text("/status/conditions/0/message").to_owned(),
                node => node.to_owned(),
            }
        })
        .collect()
}

fn node(name: &str, zone: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": zone}},
        "spec": {},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}},
    })
}

fn nodes() -> Vec<Value> {
    vec![node("node-1", "a"), node("node-2", "a"), node("node-3", "b")]
}

fn pod(name: &str, app: &str, spec: Value) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {"app": app}},
        "spec": spec,
    })
}

fn near(which: &str, app: &str, key: &str) -> Value {
    json!({"affinity": {which: {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key},
    ]}}})
}

const HOST: &str = "kubernetes.io/hostname";

#[test]
fn pods_are_spread() {
    let pods = (0..6).map(|number| pod(&format!("p{number}"), "web", json!({}))).collect();
    let mut found = place(nodes(), pods);
    found.sort();
    assert_eq!(found, ["node-1", "node-1", "node-2", "node-2", "node-3", "node-3"]);
}

#[test]
fn pods_that_fit_nowhere_say_why() {
    let preemption = |rest: &str| format!(" no new claims to deallocate, preemption: {rest}");
    let hopeless =
        preemption("0/3 nodes are available: 3 Preemption is not helpful for scheduling.");
    let full =
        preemption("0/3 nodes are available: 3 No preemption victims found for incoming pod.");
    let container = |cpu: &str| json!({"containers": [{"resources": {"requests": {"cpu": cpu}}}]});
    for (message, change, spec, reason, rest) in [
        (
            "selector",
            None,
            json!({"nodeSelector": {"no": "where"}}),
            "3 node(s) didn't match Pod's node affinity/selector.",
            hopeless.as_str(),
        ),
        (
            "cordoned",
            Some(json!({"unschedulable": true})),
            json!({}),
            "3 node(s) were unschedulable.",
            hopeless.as_str(),
        ),
        (
            "taint",
            Some(json!({"taints": [{"key": "a", "effect": "NoSchedule"}]})),
            json!({}),
            "3 node(s) had untolerated taint(s).",
            hopeless.as_str(),
        ),
        ("too large", None, container("5"), "3 Insufficient cpu.", hopeless.as_str()),
        (
            "no such neighbour",
            None,
            near("podAffinity", "db", HOST),
            "3 node(s) didn't match pod affinity rules.",
            hopeless.as_str(),
        ),
    ] {
        let mut nodes = nodes();
        if let Some(spec) = change {
            nodes.iter_mut().for_each(|node| node["spec"] = spec.clone());
        }
        let found = place(nodes, vec![pod("p", "web", spec)]);
        assert_eq!(found, [format!("0/3 nodes are available: {reason}{rest}")], "{message}");
    }
    assert_eq!(
        place(Vec::new(), vec![pod("p", "web", json!({}))]),
        ["no nodes available to schedule pods"]
    );
    let pods = (0..4).map(|n| pod(&format!("p{n}"), "web", container("3"))).collect();
    let expected = format!("0/3 nodes are available: 3 Insufficient cpu.{full}");
    assert_eq!(place(nodes(), pods)[3], expected);
}

#[test]
fn reasons_are_counted_and_sorted() {
    let mut nodes = nodes();
    nodes[0]["spec"]["unschedulable"] = true.into();
    nodes[1]["spec"]["taints"] = json!([{"key": "a", "effect": "NoExecute"}]);
    let spec = json!({"nodeSelector": {"zone": "c"}});
    let found = place(nodes, vec![pod("p", "web", spec)]);
    let expected = "0/3 nodes are available: 1 node(s) didn't match Pod's node \
                    affinity/selector, 1 node(s) had untolerated taint(s), 1 node(s) were \
                    unschedulable.";
    assert!(found[0].starts_with(expected), "{}", found[0]);
}

#[test]
fn anti_affinity_holds_both_ways() {
    let alone = near("podAntiAffinity", "web", HOST);
    let pods = (0..4).map(|n| pod(&format!("p{n}"), "web", alone.clone())).collect();
    let found = place(nodes(), pods);
    assert_eq!(found[..3], ["node-1", "node-2", "node-3"]);
    assert!(found[3].contains("3 node(s) didn't match pod anti-affinity rules"), "{}", found[3]);

    // The guest asks for nothing, and is kept off all the same.
    let mut pods: Vec<_> =
        (0..3).map(|n| pod(&format!("p{n}"), "db", near("podAntiAffinity", "web", HOST))).collect();
    for (pod, node) in pods.iter_mut().zip(["node-1", "node-2", "node-3"]) {
        pod["spec"]["nodeName"] = node.into();
    }
    pods.push(pod("guest", "web", json!({})));
    let found = place(nodes(), pods);
    let expected = "3 node(s) didn't satisfy existing pods anti-affinity rules";
    assert!(found[3].contains(expected), "{}", found[3]);
}

#[test]
fn affinity_brings_pods_together_and_lets_the_first_one_go_anywhere() {
    let together = near("podAffinity", "web", "zone");
    let mut pods: Vec<_> = (0..4).map(|n| pod(&format!("p{n}"), "web", together.clone())).collect();
    pods[0]["spec"]["nodeSelector"] = json!({"zone": "b"});
    assert_eq!(place(nodes(), pods), ["node-3"; 4]);
}

#[test]
fn preferences_decide_between_nodes_that_do() {
    let preferred = |which: &str, inner: Value| {
        json!({"affinity": {which: {
            "preferredDuringSchedulingIgnoredDuringExecution": [inner],
        }}})
    };
    let zone_b = json!({"weight": 10, "preference": {"matchExpressions": [
        {"key": "zone", "operator": "In", "values": ["b"]},
    ]}});
    let like_db = json!({"weight": 10, "podAffinityTerm": {
        "labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": HOST,
    }});
    let mut db = pod("db", "db", json!({}));
    db["spec"]["nodeName"] = "node-1".into();
    for (message, spec, expected) in [
        ("a node", preferred("nodeAffinity", zone_b), "node-3"),
        ("a neighbour", preferred("podAffinity", like_db.clone()), "node-1"),
        ("no neighbour", preferred("podAntiAffinity", like_db), "node-2"),
        ("nothing", json!({}), "node-2"),
    ] {
        let found = place(nodes(), vec![db.clone(), pod("p", "web", spec)]);
        assert_eq!(found[1], expected, "{message}");
    }
}

#[test]
fn spread_constraints_are_kept() {
    let spread = |key: &str, when: &str| {
        json!({"topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": when,
            "labelSelector": {"matchLabels": {"app": "web"}},
        }]})
    };
    let by_zone = spread("zone", "DoNotSchedule");
    let pods = (0..4).map(|n| pod(&format!("p{n}"), "web", by_zone.clone())).collect();
    let found = place(nodes(), pods);
    let in_b = found.iter().filter(|node| *node == "node-3").count();
    assert_eq!(in_b, 2, "two in each zone: {found:?}");

    let mut cordoned = nodes();
    cordoned[2]["spec"]["unschedulable"] = true.into();
    let pods = (0..2).map(|n| pod(&format!("p{n}"), "web", by_zone.clone())).collect();
    let found = place(cordoned.clone(), pods);
    let expected = "1 node(s) were unschedulable, 2 node(s) didn't match pod topology spread";
    assert!(found[1].contains(expected), "{}", found[1]);

    let soft = spread("zone", "ScheduleAnyway");
    let pods = (0..2).map(|n| pod(&format!("p{n}"), "web", soft.clone())).collect();
    let found = place(cordoned, pods);
    assert!(found.iter().all(|node| node.starts_with("node-")), "{found:?}");
}

#[test]
fn ports_of_a_node_are_taken_once() {
    let spec = json!({"containers": [{"ports": [
        {"containerPort": 80, "hostPort": 8080, "protocol": "TCP"},
    ]}]});
    let pods = (0..4).map(|n| pod(&format!("p{n}"), "web", spec.clone())).collect();
    let found = place(nodes(), pods);
    assert_eq!(found[..3], ["node-1", "node-2", "node-3"]);
    let expected = "3 node(s) didn't have free ports for the requested pod ports";
    assert!(found[3].contains(expected), "{}", found[3]);
}

#[test]
fn the_more_important_pod_comes_first() {
    let mut small = node("node-1", "a");
    small["status"]["allocatable"]["pods"] = "1".into();
    let pods = vec![pod("a", "web", json!({})), pod("b", "web", json!({"priority": 100}))];
    let found = place(vec![small], pods);
    assert!(found[0].contains("1 Too many pods") && found[1] == "node-1", "{found:?}");
}

#[test]
fn gates_other_schedulers_and_chosen_nodes_are_respected() {
    let gated = json!({"schedulingGates": [{"name": "a"}]});
    let other = json!({"schedulerName": "mine"});
    let chosen = json!({"nodeName": "node-9"});
    let pods = vec![pod("a", "w", gated), pod("b", "w", other), pod("c", "w", chosen)];
    let found = place(nodes(), pods);
    let expected = ["Scheduling is blocked due to non-empty scheduling gates", "", "node-9"];
    assert_eq!(found, expected);
}

/// A pod of an importance that wants so much of a node.
fn weighty(name: &str, app: &str, priority: i64, cpu: &str) -> Value {
    let container = json!({"name": "a", "resources": {"requests": {"cpu": cpu}}});
    pod(name, app, json!({"priority": priority, "containers": [container]}))
}

#[test]
fn a_pod_takes_the_place_of_those_that_weigh_least() {
    let budget = json!({
        "metadata": {"name": "b", "namespace": "shop", "uid": "b"},
        "spec": {"selector": {"matchLabels": {"app": "kept"}}, "minAvailable": 1},
        "status": {"disruptionsAllowed": 0},
    });
    let on = |mut pod: Value, node: &str| {
        pod["spec"]["nodeName"] = node.into();
        pod
    };
    for (message, there, wanted, node, gone) in [
        (
            "the least important go",
            vec![on(weighty("x", "a", 5, "3"), "node-1"), on(weighty("y", "a", 1, "3"), "node-2")],
            weighty("vip", "v", 9, "2"),
            Some("node-2"),
            vec!["y"],
        ),
        (
            "as few as possible",
            vec![
                on(weighty("x", "a", 1, "1"), "node-1"),
                on(weighty("y", "a", 2, "3"), "node-1"),
                on(weighty("z", "a", 9, "4"), "node-2"),
            ],
            weighty("vip", "v", 9, "1"),
            Some("node-1"),
            vec!["x"],
        ),
        (
            "budgets are kept where they can be",
            vec![
                on(weighty("x", "kept", 1, "3"), "node-1"),
                on(weighty("y", "a", 5, "3"), "node-2"),
            ],
            weighty("vip", "v", 9, "2"),
            Some("node-2"),
            vec!["y"],
        ),
        (
            "nobody is less important",
            vec![on(weighty("x", "a", 9, "3"), "node-1"), on(weighty("y", "a", 9, "3"), "node-2")],
            weighty("vip", "v", 9, "2"),
            None,
            vec![],
        ),
        (
            "not where it asks for none",
            vec![on(weighty("x", "a", 1, "3"), "node-1"), on(weighty("y", "a", 1, "3"), "node-2")],
            {
                let mut polite = weighty("vip", "v", 9, "2");
                polite["spec"]["preemptionPolicy"] = "Never".into();
                polite
            },
            None,
            vec![],
        ),
        (
            "a taint doesn't go away",
            vec![on(weighty("x", "a", 1, "3"), "node-1"), on(weighty("y", "a", 1, "3"), "node-2")],
            {
                let mut bound = weighty("vip", "v", 9, "2");
                bound["spec"]["nodeSelector"] = json!({"zone": "nowhere"});
                bound
            },
            None,
            vec![],
        ),
    ] {
        let store = Arc::new(Store::new());
        let inbox = Arc::new(Inbox::default());
        store.observe(&inbox, &[]);
        let mut scheduler = Scheduler::new(Arc::clone(&store), Recorder::deaf());
        let all: Vec<_> = there.iter().map(|pod| pod.name().to_owned()).collect();
        store.write(|writer| {
            writer.put(&crate::sandbox::api::resource::POD_DISRUPTION_BUDGETS, budget.clone());
            for node in nodes().drain(..2) {
                writer.put(&NODES, node);
            }
            for pod in there {
                writer.put(&PODS, pod);
            }
            writer.put(&PODS, wanted);
            // It comes while the other's victims end, and finds the place taken.
            writer.put(&PODS, weighty("late", "l", 0, "2"));
        });
        let work = |scheduler: &mut Scheduler| {
            loop {
                for event in std::mem::take(&mut *inbox.events.lock().expect("no panic")) {
                    scheduler.take(&event);
                }
                if !scheduler.has_work() {
                    return;
                }
                scheduler.place_some();
            }
        };
        work(&mut scheduler);
        let vip = store.get(&PODS, "shop", "vip").expect("it is there");
        assert_eq!(vip["status"]["nominatedNodeName"].as_str(), node, "{message}");
        let is_marked = |name: &&String| {
            let pod = store.get(&PODS, "shop", name);
            pod.is_none_or(|pod| pod.is_deleting())
        };
        let marked: Vec<_> = all.iter().filter(is_marked).collect();
        assert_eq!(marked, gone, "{message}");
        let Some(node) = node else { continue };
        store.write(|writer| {
            for name in &gone {
                writer.remove(&PODS, "shop", name);
            }
        });
        work(&mut scheduler);
        scheduler.give_another_chance();
        work(&mut scheduler);
        let vip = store.get(&PODS, "shop", "vip").expect("it is there");
        assert_eq!(vip.text("/spec/nodeName"), node, "{message}");
        assert!(vip["status"]["nominatedNodeName"].is_null(), "{message}");
    }
}
