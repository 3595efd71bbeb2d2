//! A table that is too large for one transaction, as several.
//!
//! A transaction is one datagram, and an ordinary user's are limited by
//! `net.core.wmem_max`. What is dormant judges nothing: so a table is filled bit by bit
//! while it is, and takes the other's place in one step, in which both judge for an instant,
//! and never none. As no table can be given another's name, it is done twice: by way of a spare
//! one.

use super::{
    NEWTABLE, TABLE_FLAGS, TABLE_NAME, attribute::Message, contents, delete_table, finish,
};
use crate::sandbox::{
    firewall::{ruleset::Ruleset, text::TABLE},
    node::netlink::Request,
};

/// What judges while the table itself is made anew.
pub(super) const SPARE: &str = "netproof-spare";

/// Flag of a table: it is there, and judges nothing.
const DORMANT: u32 = 1;

/// One transaction of several.
pub(in crate::sandbox) struct Part {
    /// Its messages.
    pub requests: Vec<Request>,
    /// Whether the spare table judges in the other's place once it is carried out.
    pub spare: bool,
}

/// The transactions, none longer than so many bytes as far as messages can be parted, that
/// replace a namespace's table with these rules. `spare` says that an earlier attempt ended
/// half way, and the spare table judges.
pub(in crate::sandbox) fn encode_in_parts(rules: &Ruleset, limit: usize, spare: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    let ways = [(SPARE, TABLE, true), (TABLE, SPARE, false)];
    for (new, old, is_spare) in ways.into_iter().skip(usize::from(spare)) {
        let filled = fill(new, rules, limit);
        parts.extend(filled.into_iter().map(|requests| Part { requests, spare: !is_spare }));
        let awake = Message::new(NEWTABLE).string(TABLE_NAME, new).number(TABLE_FLAGS, 0);
        let mut requests = vec![Message::begin(), awake.done("let the new table judge")];
        requests.extend(delete_table(old));
        parts.push(Part { requests: finish(requests), spare: is_spare });
    }
    parts
}

/// Makes a dormant table, in place of one that was left half filled.
fn fill(table: &str, rules: &Ruleset, limit: usize) -> Vec<Vec<Request>> {
    let dormant = Message::new(NEWTABLE).string(TABLE_NAME, table).number(TABLE_FLAGS, DORMANT);
    let mut requests = vec![Message::begin()];
    requests.extend(delete_table(table));
    requests.push(dormant.done("create the table"));
    let length = |group: &[Request]| group.iter().map(|one| one.bytes.len()).sum::<usize>();
    let end = Message::end().bytes.len();
    let mut parts = Vec::new();
    let mut used = length(&requests);
    for group in contents(table, rules) {
        let more = length(&group);
        if used + more + end > limit && requests.len() > 1 {
            let full = std::mem::replace(&mut requests, vec![Message::begin()]);
            parts.push(finish(full));
            used = length(&requests);
        }
        used += more;
        requests.extend(group);
    }
    parts.push(finish(requests));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::firewall::{Snapshot, compile};

    #[test]
    fn no_part_is_too_long_and_nothing_is_lost_between_them() {
        let policies = (0..40).map(|number| {
            serde_yaml::from_str(&format!(
                "{{metadata: {{name: p{number}, namespace: a}}, spec: {{podSelector: {{}}, ingress: \
                 [{{ports: [{{port: {}}}]}}]}}}}",
                number + 1
            ))
            .unwrap()
        });
        let pods = (1..200_u8).map(|last| crate::sandbox::firewall::PodEntry {
            namespace: "a".into(),
            name: format!("pod-{last}"),
            labels: Default::default(),
            addresses: vec![[10, 0, 0, last].into()],
            node: "one".into(),
            ports: Vec::new(),
            host_network: false,
        });
        let snapshot = Snapshot {
            namespaces: [("a".to_owned(), Default::default())].into(),
            pods: pods.collect(),
            policies: policies.collect(),
            ..Snapshot::default()
        };
        let rules = compile(&snapshot, "one", &[]);
        let whole: usize = contents(TABLE, &rules).iter().flatten().count();
        for (spare, times) in [(false, 2), (true, 1)] {
            let parts = encode_in_parts(&rules, 20_000, spare);
            assert!(parts.len() > 3, "{} parts", parts.len());
            let mut contained = 0;
            for part in &parts {
                let length: usize = part.requests.iter().map(|one| one.bytes.len()).sum();
                assert!(length <= 20_000, "{length}");
                let is_frame = |one: &&Request| {
                    ["begin", "commit"].contains(&one.what.as_str()) || one.what.contains("table")
                };
                contained += part.requests.iter().filter(|one| !is_frame(one)).count();
            }
            assert_eq!(contained, whole * times, "spare: {spare}");
            assert!(!parts.last().unwrap().spare, "the table itself judges in the end");
        }
    }
}
