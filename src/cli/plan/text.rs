//! A plan for people.

use std::fmt::Write;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::origin;
use crate::{
    event::ClusterInfo,
    model::Labels,
    plan::{Destination, Plan, PlannedCase, PlannedPod, Role, SuitePlan},
    suite::Suite,
};

/// So many cases are named beside what must be up for them.
const NAMED: usize = 4;

/// The whole plan, lines no wider than `width` where they can be.
pub(super) fn plan(
    plan: &Plan,
    suites: &[Suite],
    info: Option<&ClusterInfo>,
    width: usize,
) -> String {
    let mut text = format!(
        "netproof {} · plan, nothing is done · {}\n",
        env!("CARGO_PKG_VERSION"),
        origin(info, &plan.nodes)
    );
    for suite in &plan.suites {
        let described = suites.iter().find(|known| known.name == suite.name);
        let described = described.and_then(|suite| suite.description.as_deref());
        let described = described.map(|text| format!(": {text}")).unwrap_or_default();
        let _ = writeln!(text, "\n{}{described}", strong(&format!("suite {}", suite.name)));
        self::suite(&mut text, plan, suite, width);
    }
    controls(&mut text, plan, width);
    let made = plan.suites.iter().map(|suite| suite.namespaces.len()).sum::<usize>()
        + usize::from(plan.control_namespace.created);
    let objects = plan.suites.iter().map(|suite| suite.objects.len()).sum();
    let left_out = match plan.filtered_out {
        0 => String::new(),
        count => format!("; {count} left out by the filter"),
    };
    let _ = writeln!(
        text,
        "\n{}",
        strong(&format!(
            "{}, {}, {}, {}{left_out}",
            counted(plan.cases().count(), "case"),
            counted(plan.pods.len(), "pod"),
            counted(made, "namespace"),
            counted(objects, "object")
        ))
    );
    text
}

fn suite(text: &mut String, plan: &Plan, suite: &SuitePlan, width: usize) {
    let namespaces = suite.namespaces.iter().map(|namespace| {
        vec![namespace.name.clone(), format!("as {}", namespace.alias), pairs(&namespace.labels)]
    });
    section(text, "namespaces, made and removed", &namespaces.collect::<Vec<_>>(), width);
    let objects = suite.objects.iter().map(|object| vec![object.called(), object.source.clone()]);
    section(text, "objects, made and removed", &objects.collect::<Vec<_>>(), width);
    let pods = suite.pods.iter().map(|pod| self::pod(plan, plan.pod(*pod)));
    section(text, "probe pods", &pods.collect::<Vec<_>>(), width);
    cases(text, plan, "cases", &suite.cases, width);
    for step in &suite.steps {
        let changes = step.changes.iter().map(|change| vec![plan.describe(change)]);
        let title = format!("step {}, changes, undone after the suite", step.name);
        section(text, &title, &changes.collect::<Vec<_>>(), width);
        cases(text, plan, &format!("step {}, cases", step.name), &step.cases, width);
    }
}

fn pod(plan: &Plan, pod: &PlannedPod) -> Vec<String> {
    let role = match &pod.role {
        Role::Peer { names } => format!("as {}", names.join(", ")),
        Role::StandIn { of } => format!("{} on another node", plan.pod(*of).name),
        Role::Newcomer { of } => format!("{} made anew", plan.pod(*of).name),
        Role::Witness => "witness".to_owned(),
        Role::CanaryIngress => "canary for ingress".to_owned(),
        Role::CanaryEgress => "canary for egress".to_owned(),
        Role::Marker => "marker of changes".to_owned(),
    };
    let ports: Vec<_> = pod.ports.values().map(ToString::to_string).collect();
    let exists = if pod.namespace_created { "" } else { " (exists)" };
    let account = pod.service_account.as_ref().map(|name| format!(" account {name}"));
    vec![
        pod.name.clone(),
        format!("{}{exists}", pod.namespace),
        pod.node.clone(),
        role,
        if ports.is_empty() { "listens on nothing".to_owned() } else { ports.join(" ") },
        format!("{}{}", pairs(&pod.labels), account.unwrap_or_default()),
    ]
}

/// Cases in a line each; then what must be up for them, told once for cases alike.
fn cases(text: &mut String, plan: &Plan, title: &str, cases: &[PlannedCase], width: usize) {
    let rows = cases.iter().map(|case| {
        let within = humantime::format_duration(case.within);
        vec![
            case.id.to_string(),
            case.from.clone(),
            destination(case),
            case.port.to_string(),
            format!("{} within {within}", case.expect),
        ]
    });
    section(text, title, &rows.collect::<Vec<_>>(), width);
    let mut alike: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
    for case in cases {
        let controls = by_role(plan, case);
        match alike.iter_mut().find(|(known, _)| *known == controls) {
            Some((_, names)) => names.push(&case.name),
            None => alike.push((controls, vec![&case.name])),
        }
    }
    if !alike.is_empty() {
        let _ = writeln!(text, "  {}", dim("controls: all up, or the answer counts for nothing"));
    }
    for (controls, mut names) in alike {
        names.dedup();
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let _ = writeln!(text, "    for {}{more}", names.join(", "));
        for control in controls {
            let _ = writeln!(text, "      {control}");
        }
    }
}

/// A case's controls by the roles of its ends, so that cases alike are told together.
fn by_role(plan: &Plan, case: &PlannedCase) -> Vec<String> {
    let controls = plan.controls_of(case).into_iter();
    let role = |control: String| {
        if control.starts_with("node path") {
            return "node path between their nodes".to_owned();
        }
        let control = control.replace(&plan.pod(case.source).name, "the source");
        match case.destination {
            Destination::Pod(pod) => control
                .replace(&plan.pod(pod).name, "the destination")
                .replace(&case.port.to_string(), "its port"),
            _ => control,
        }
    };
    controls.map(role).collect()
}

fn destination(case: &PlannedCase) -> String {
    match &case.destination {
        Destination::Pod(_) => case.to.clone(),
        Destination::Service { namespace, name } => format!("{} ({namespace}/{name})", case.to),
        Destination::Address(address) => format!("{} ({address})", case.to),
        Destination::Host(host) => format!("{} ({host})", case.to),
    }
}

fn controls(text: &mut String, plan: &Plan, width: usize) {
    let place = &plan.control_namespace;
    let made = if place.created { "made and removed" } else { "exists" };
    let _ = writeln!(text, "\n{}", strong(&format!("controls in {} ({made})", place.name)));
    let mut rows = Vec::new();
    for (node, pods) in &plan.controls {
        for index in [pods.witness, pods.canary_ingress, pods.canary_egress, pods.marker] {
            let pod = plan.pod(index);
            rows.push(vec![pod.name.clone(), node.clone(), self::pod(plan, pod)[3].clone()]);
        }
    }
    section(text, "control pods", &rows, width);
    let canaries = super::json::canaries(plan);
    let rows = canaries.iter().map(|canary| {
        vec![format!("{} of {}", canary.direction, canary.node), canary.over.clone()]
    });
    section(text, "canaries: reached first, then isolated", &rows.collect::<Vec<_>>(), width);
}

/// A titled table; nothing where it has no rows. Only the last column may run over.
fn section(text: &mut String, title: &str, rows: &[Vec<String>], width: usize) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "  {}", dim(title));
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row.get(column).map_or(0, |cell| cell.width())).max())
        .map(Option::unwrap_or_default)
        .collect();
    let fits = widths.iter().sum::<usize>() + 2 * columns + 4 <= width;
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            if fits {
                let pad = widths[column].saturating_sub(cell.width());
                let _ = write!(line, "{cell}{:pad$}  ", "");
            } else {
                // Too narrow for columns: the first cell, and the rest below it.
                let before = match column {
                    0 => "",
                    1 => "\n        ",
                    _ => "  ",
                };
                let _ = write!(line, "{before}{cell}");
            }
        }
        let _ = writeln!(text, "    {}", line.trim_end());
    }
}

fn pairs(labels: &Labels) -> String {
    let pairs: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn strong(text: &str) -> String {
    let style = Style::new().bold();
    format!("{style}{text}{style:#}")
}

fn dim(text: &str) -> String {
    let style = Style::new().dimmed();
    format!("{style}{text}{style:#}")
}
