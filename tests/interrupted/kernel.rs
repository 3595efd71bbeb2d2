//! What a kernel holds for a sandbox: namespaces, and who or what keeps them.

use std::{collections::BTreeSet, fs, path::Path};

/// The namespaces that processes are in or hold open, but for those that this process is in
/// itself.
pub fn namespaces(processes: &[u32]) -> BTreeSet<String> {
    let of = |process: &str| {
        let folders = ["ns", "fd"].map(|kind| fs::read_dir(format!("/proc/{process}/{kind}")));
        let entries = folders.into_iter().flatten().flatten().flatten();
        entries.filter_map(|entry| name(&entry.path()))
    };
    let own: BTreeSet<String> = of("self").collect();
    let theirs = processes.iter().flat_map(|process| of(&process.to_string()).collect::<Vec<_>>());
    theirs.filter(|namespace| !own.contains(namespace)).collect()
}

/// The name of what a link leads to, if it is a namespace.
fn name(link: &Path) -> Option<String> {
    let target = fs::read_link(link).ok()?.to_string_lossy().into_owned();
    let (kind, number) = target.split_once(":[")?;
    let is_namespace = ["net", "mnt", "pid", "user", "ipc", "uts", "cgroup"].contains(&kind);
    (is_namespace && number.ends_with(']')).then_some(target)
}

/// Which of these are still there: somebody is in them, holds them open or has them mounted.
pub fn held(namespaces: &BTreeSet<String>) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for process in fs::read_dir("/proc").expect("the processes").flatten() {
        let path = process.path();
        let tasks = fs::read_dir(path.join("task")).into_iter().flatten().flatten();
        let folders = tasks.map(|task| task.path().join("ns")).chain([path.join("fd")]);
        for folder in folders {
            let links = fs::read_dir(folder).into_iter().flatten().flatten();
            held.extend(links.filter_map(|link| name(&link.path())));
        }
        let mounts = fs::read_to_string(path.join("mountinfo")).unwrap_or_default();
        // The root of such a mount is the namespace's name.
        let roots = mounts.lines().filter_map(|line| line.split(' ').nth(3));
        held.extend(roots.filter(|root| root.contains(":[")).map(str::to_owned));
    }
    held.intersection(namespaces).cloned().collect()
}

/// What stands in this process's own mounts, links and control groups, where a sandbox must
/// leave nothing.
pub fn own_traces() -> BTreeSet<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
    let mounts = mounts.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        Some(format!("mount {} {kind}", place.split(' ').nth(4)?))
    });
    let names = |folder: &str, kind: &str| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.map(|name| format!("{kind} {name}")).collect()
    };
    mounts.chain(names("/sys/class/net", "link")).chain(names("/sys/fs/cgroup", "group")).collect()
}
