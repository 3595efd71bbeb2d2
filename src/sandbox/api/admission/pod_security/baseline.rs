//! What the level `baseline` forbids.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    super::super::object::Object,
    Violation,
    pod::{Pod, containers, context, plural, quoted, setters, violation},
};

/// Capabilities that may be added.
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Settings of the kernel that may be set, and since which version.
const SYSCTLS: [(&str, u32); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

/// Everything that is forbidden, in the order of the checks' names. `overlapping` leaves
/// out what the restricted level checks more sharply.
pub(super) fn check(pod: &Pod<'_>, version: u32, overlapping: bool) -> Vec<Violation> {
    let own = |check: fn(Pod<'_>, u32) -> Option<Violation>, left_out: bool| {
        if left_out { None } else { check(*pod, version) }
    };
    let restricted = |since: u32| overlapping && version >= since;
    [
        own(app_armor, false),
        own(capabilities, restricted(22)),
        own(host_namespaces, false),
        own(host_paths, overlapping),
        own(host_ports, false),
        own(host_probes, false),
        own(privileged, false),
        own(proc_mount, false),
        own(se_linux, false),
        own(seccomp, restricted(19)),
        own(sysctls, false),
        own(host_process, false),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn app_armor(pod: Pod<'_>, _: u32) -> Option<Violation> {
    const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
    let annotations = pod.metadata.get("annotations").and_then(Value::as_object);
    let mut found: Vec<String> = annotations
        .into_iter()
        .flatten()
        .filter(|(key, value)| {
            let value = value.as_str().unwrap_or_default();
            let fine = matches!(value, "" | "runtime/default") || value.starts_with("localhost/");
            key.starts_with(PREFIX) && !fine
        })
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    found.sort();
    let bad = |of: &Value| -> Option<String> {
        let kind = context(of, "appArmorProfile")?.text("/type").to_owned();
        (!matches!(&*kind, "" | "RuntimeDefault" | "Localhost")).then_some(kind)
    };
    let is_bad = |of: &Value| bad(of).is_some();
    let mut who = vec![setters(is_bad(pod.spec), &pod.named(is_bad))];
    let everywhere = std::iter::once(pod.spec).chain(pod.containers());
    let mut what: Vec<String> = everywhere.filter_map(bad).collect();
    what.sort();
    what.dedup();
    if !found.is_empty() {
        who.push(plural("annotation", "annotations", found.len()).to_owned());
        what.extend(found);
    }
    if what.is_empty() {
        return None;
    }
    who.retain(|one| !one.is_empty());
    let reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", what.len());
    let (who, what) = (who.join(" and "), what.join("\", \""));
    violation(reason, format!("{who} must not set AppArmor profile type to \"{what}\""))
}

fn capabilities(pod: Pod<'_>, _: u32) -> Option<Violation> {
    let added = |container: &Value| -> Vec<String> {
        let added = container.items("/securityContext/capabilities/add").iter();
        let added = added.filter_map(Value::as_str);
        added.filter(|one| !CAPABILITIES.contains(one)).map(str::to_owned).collect()
    };
    let names = pod.named(|container| !added(container).is_empty());
    let all: BTreeSet<String> = pod.containers().flat_map(added).collect();
    let all: Vec<_> = all.into_iter().collect();
    if names.is_empty() {
        return None;
    }
    let (who, what) = (containers(&names), quoted(&all));
    let detail = format!("{who} must not include {what} in securityContext.capabilities.add");
    violation("non-default capabilities", detail)
}

fn host_namespaces(pod: Pod<'_>, _: u32) -> Option<Violation> {
    let shared: Vec<_> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| pod.spec[*field] == true)
        .map(|field| format!("{field}=true"))
        .collect();
    if shared.is_empty() { None } else { violation("host namespaces", shared.join(", ")) }
}

fn host_paths(pod: Pod<'_>, _: u32) -> Option<Violation> {
    let volumes = pod.spec.items("/volumes").iter();
    let names: Vec<String> = volumes
        .filter(|volume| volume.get("hostPath").is_some_and(|path| !path.is_null()))
        .map(|volume| volume.text("/name").to_owned())
        .collect();
    if names.is_empty() {
        return None;
    }
    let what = plural("volume", "volumes", names.len());
    violation("hostPath volumes", format!("{what} {}", quoted(&names)))
}

fn host_ports(pod: Pod<'_>, _: u32) -> Option<Violation> {
    let ports = |container: &Value| -> Vec<String> {
        let ports = container.items("/ports").iter();
        let ports = ports.filter_map(|port| port["hostPort"].as_i64());
        ports.filter(|port| *port != 0).map(|port| port.to_string()).collect()
    };
    let names = pod.named(|container| !ports(container).is_empty());
    let all: BTreeSet<String> = pod.containers().flat_map(ports).collect();
    let all: Vec<_> = all.into_iter().collect();
    if names.is_empty() {
        return None;
    }
    let uses = plural("uses", "use", names.len());
    let what = plural("hostPort", "hostPorts", all.len());
    violation("hostPort", format!("{} {uses} {what} {}", containers(&names), all.join(", ")))
}

fn host_probes(pod: Pod<'_>, version: u32) -> Option<Violation> {
    const HANDLERS: [&str; 5] = [
        "/livenessProbe",
        "/readinessProbe",
        "/startupProbe",
        "/lifecycle/postStart",
        "/lifecycle/preStop",
    ];
    let hosts = |container: &Value| -> Vec<String> {
        let places = HANDLERS.iter().flat_map(|handler| {
            ["httpGet", "tcpSocket"].map(|kind| format!("{handler}/{kind}/host"))
        });
        let hosts = places.map(|place| container.text(&place).to_owned());
        hosts.filter(|host| !host.is_empty()).collect()
    };
    let names: BTreeSet<String> =
        pod.named(|container| !hosts(container).is_empty()).into_iter().collect();
    let names: Vec<_> = names.into_iter().collect();
    let all: BTreeSet<String> = pod.containers().flat_map(hosts).collect();
    let all: Vec<_> = all.into_iter().collect();
    if version < 34 || names.is_empty() {
        return None;
    }
    let uses = plural("uses", "use", names.len());
    let what = plural("probe or lifecycle host", "probe or lifecycle hosts", all.len());
    let detail = format!("{} {uses} {what} {}", containers(&names), quoted(&all));
    violation("probe or lifecycle host", detail)
}

fn privileged(pod: Pod<'_>, _: u32) -> Option<Violation> {
    let names = pod.named(|container| context(container, "privileged") == Some(&true.into()));
    if names.is_empty() {
        return None;
    }
    let who = containers(&names);
    violation("privileged", format!("{who} must not set securityContext.privileged=true"))
}

fn proc_mount(pod: Pod<'_>, version: u32) -> Option<Violation> {
    if version >= 35 && pod.has_own_users() {
        return None;
    }
    let mount = |container: &Value| -> Option<String> {
        let kind = context(container, "procMount")?.as_str()?;
        (kind != "Default").then(|| kind.to_owned())
    };
    let names = pod.named(|container| mount(container).is_some());
    let kinds: BTreeSet<String> = pod.containers().filter_map(mount).collect();
    let kinds: Vec<_> = kinds.into_iter().collect();
    if names.is_empty() {
        return None;
    }
    let (who, what) = (containers(&names), quoted(&kinds));
    violation("procMount", format!("{who} must not set securityContext.procMount to {what}"))
}

fn se_linux(pod: Pod<'_>, version: u32) -> Option<Violation> {
    let options = |of: &Value| context(of, "seLinuxOptions").cloned().unwrap_or_default();
    let is_bad_type = |kind: &str| {
        let always = ["", "container_t", "container_init_t", "container_kvm_t"];
        !(always.contains(&kind) || kind == "container_engine_t" && version >= 31)
    };
    let is_bad = |of: &Value| {
        let options = options(of);
        is_bad_type(options.text("/type"))
            || !options.text("/user").is_empty()
            || !options.text("/role").is_empty()
    };
    let who = setters(is_bad(pod.spec), &pod.named(is_bad));
    if who.is_empty() {
        return None;
    }
    let everywhere = || std::iter::once(pod.spec).chain(pod.containers()).map(options);
    let types: BTreeSet<String> = everywhere()
        .map(|options| options.text("/type").to_owned())
        .filter(|kind| is_bad_type(kind))
        .collect();
    let types: Vec<_> = types.into_iter().collect();
    let mut bad = Vec::new();
    if !types.is_empty() {
        bad.push(format!("{} {}", plural("type", "types", types.len()), quoted(&types)));
    }
    for field in ["user", "role"] {
        if everywhere().any(|options| !options.text(&format!("/{field}")).is_empty()) {
            bad.push(format!("{field} may not be set"));
        }
    }
    let bad = bad.join("; ");
    let detail = format!("{who} set forbidden securityContext.seLinuxOptions: {bad}");
    violation("seLinuxOptions", detail)
}

fn seccomp(pod: Pod<'_>, version: u32) -> Option<Violation> {
    if version < 19 {
        return None;
    }
    let kind = |of: &Value| -> Option<String> {
        let kind = context(of, "seccompProfile")?.text("/type").to_owned();
        (!matches!(&*kind, "RuntimeDefault" | "Localhost")).then_some(kind)
    };
    let names = pod.named(|container| kind(container).is_some());
    let who = setters(kind(pod.spec).is_some(), &names);
    if who.is_empty() {
        return None;
    }
    let everywhere = std::iter::once(pod.spec).chain(pod.containers());
    let kinds: BTreeSet<String> = everywhere.filter_map(kind).collect();
    let kinds: Vec<_> = kinds.into_iter().collect();
    let detail =
        format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(&kinds));
    violation("seccompProfile", detail)
}

fn sysctls(pod: Pod<'_>, version: u32) -> Option<Violation> {
    let set = pod.spec.items("/securityContext/sysctls").iter();
    let found: Vec<_> = set
        .map(|sysctl| sysctl.text("/name"))
        .filter(|name| !SYSCTLS.iter().any(|(known, since)| known == name && *since <= version))
        .collect();
    if found.is_empty() { None } else { violation("forbidden sysctls", found.join(", ")) }
}

fn host_process(pod: Pod<'_>, _: u32) -> Option<Violation> {
    let is_set = |of: &Value| {
        of.pointer("/securityContext/windowsOptions/hostProcess") == Some(&true.into())
    };
    let who = setters(is_set(pod.spec), &pod.named(is_set));
    if who.is_empty() {
        return None;
    }
    let detail = format!("{who} must not set securityContext.windowsOptions.hostProcess=true");
    violation("hostProcess", detail)
}
