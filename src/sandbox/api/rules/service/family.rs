//! A Service's IP families and the addresses of each.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{
    super::super::{failure::Cause, object::Object, resource::SERVICE_CIDRS, store::Writer},
    is_headless, needs_cluster_ip, texts,
};
use crate::sandbox::layout::{self, IpFamily};

/// The first addresses are left to Services that ask for one, as kube-dns does.
const RESERVED: usize = 16;

/// The cluster's ranges of addresses, the first family first.
pub(super) fn ranges(writer: &Writer<'_>) -> Vec<IpNet> {
    let object = writer.get(&SERVICE_CIDRS, "", layout::SERVICE_CIDR);
    let ranges: Vec<IpNet> = object
        .iter()
        .flat_map(|object| object.items("/spec/cidrs"))
        .filter_map(|cidr| cidr.as_str()?.parse().ok())
        .collect();
    if ranges.is_empty() { layout::services(IpFamily::Dual) } else { ranges }
}

fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn range<'a>(ranges: &'a [IpNet], family: &str) -> Option<&'a IpNet> {
    ranges.iter().find(|range| family_of(range.addr()) == family)
}

fn policy(service: &Value) -> &str {
    service.text("/spec/ipFamilyPolicy")
}

fn set(service: &mut Value, key: &str, texts: &[String]) {
    let spec = service.section_mut("spec");
    if texts.is_empty() {
        spec.remove(key);
    } else {
        spec.insert(key.into(), json!(texts));
    }
}

/// What an update leaves out stays as it was, and what belongs to another type goes.
pub(super) fn carry_over(service: &mut Value, before: &Value) {
    let (old, new) = (texts(before, "/spec/clusterIPs"), texts(service, "/spec/clusterIPs"));
    if needs_cluster_ip(before) && !needs_cluster_ip(service) {
        if old == new {
            for field in ["clusterIP", "clusterIPs"] {
                service.section_mut("spec").remove(field);
            }
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if service["spec"].get(field) == before["spec"].get(field) {
                service.section_mut("spec").remove(field);
            }
        }
    }
    if before.text("/spec/type") == "ExternalName" && needs_cluster_ip(service) {
        return;
    }
    let (was, is) = (before.text("/spec/clusterIP"), service.text("/spec/clusterIP").to_owned());
    // The single field was changed alone: it is the older one, and what older clients know.
    if !is.is_empty() && is != was && old == new {
        set(service, "clusterIPs", &[is]);
        return;
    }
    if needs_cluster_ip(before) && needs_cluster_ip(service) {
        if is.is_empty() && (new.is_empty() || new == old) {
            service.section_mut("spec").insert("clusterIP".into(), was.into());
        }
        if new.is_empty() && service.text("/spec/clusterIP") == was {
            set(service, "clusterIPs", &old);
        }
    }
}

/// The one field and the list say the same.
pub(super) fn normalize(service: &mut Value) {
    let (one, all) =
        (service.text("/spec/clusterIP").to_owned(), texts(service, "/spec/clusterIPs"));
    if all.is_empty() && !one.is_empty() {
        set(service, "clusterIPs", &[one]);
    } else if let (true, Some(first)) = (one.is_empty(), all.first()) {
        let first = first.clone();
        service.section_mut("spec").insert("clusterIP".into(), first.into());
    }
}

/// Fills in policy and families, as far as the cluster has them.
pub(super) fn choose(service: &mut Value, before: Option<&Value>, ranges: &[IpNet]) -> Vec<Cause> {
    if !needs_cluster_ip(service) {
        return Vec::new();
    }
    let free = is_headless(service)
        && service
            .pointer("/spec/selector")
            .and_then(Value::as_object)
            .is_none_or(|map| map.is_empty());
    if policy(service).is_empty() {
        let kept = before.map(policy).filter(|policy| !policy.is_empty());
        let chosen =
            kept.unwrap_or(if free { "RequireDualStack" } else { "SingleStack" }).to_owned();
        service.section_mut("spec").insert("ipFamilyPolicy".into(), chosen.into());
    }
    let mut addresses = texts(service, "/spec/clusterIPs");
    let mut families = texts(service, "/spec/ipFamilies");
    let mut causes = mistakes(service, &addresses, &families);
    if !causes.is_empty() {
        return causes;
    }
    let field = "spec.ipFamilyPolicy";
    let given = service["spec"]["ipFamilyPolicy"].clone();
    let single = given == "SingleStack";
    if let Some(before) = before {
        let had = (texts(before, "/spec/clusterIPs"), texts(before, "/spec/ipFamilies"));
        if single {
            if addresses == had.0 {
                addresses.truncate(1);
            }
            if families == had.1 {
                families.truncate(1);
            }
        } else {
            for (shrunk, what) in [
                (addresses.len() == 1 && had.0.len() == 2, "cluster IP"),
                (families.len() == 1 && had.1.len() == 2, "IP family"),
            ] {
                if shrunk && needs_cluster_ip(before) {
                    let message = format!("must be 'SingleStack' to release the secondary {what}");
                    causes.push(Cause::invalid(field, &given, &message));
                }
            }
        }
    }
    for (many, what) in
        [(addresses.len() == 2, "cluster IPs"), (families.len() == 2, "IP families")]
    {
        if single && many {
            let message = format!(
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
            );
            causes.push(Cause::invalid(field, &given, &message));
        }
    }
    for (index, address) in addresses.iter().enumerate().skip(families.len()) {
        let Ok(parsed) = address.parse() else { break };
        let family = family_of(parsed);
        if range(ranges, family).is_none() {
            let message = format!("{family} is not configured on this cluster");
            let field = format!("spec.clusterIPs[{index}]");
            causes.push(Cause::invalid(field, &json!(addresses), &message));
        } else {
            families.push(family.to_owned());
        }
    }
    if !causes.is_empty() {
        return causes;
    }
    let first = ranges.first().map_or("IPv4", |range| family_of(range.addr()));
    if !free {
        if given == "RequireDualStack" && ranges.len() < 2 {
            let message = "this cluster is not configured for dual-stack services";
            causes.push(Cause::invalid(field, &given, message));
        }
        for (index, family) in families.iter().enumerate() {
            if range(ranges, family).is_none() {
                let field = format!("spec.ipFamilies[{index}]");
                let message = "not configured on this cluster";
                causes.push(Cause::invalid(field, &json!(family), message));
            }
        }
        if !causes.is_empty() {
            return causes;
        }
    }
    if families.is_empty() {
        families.push(first.to_owned());
    }
    if !single && families.len() == 1 && (free || ranges.len() == 2) {
        let other = if families[0] == "IPv4" { "IPv6" } else { "IPv4" };
        families.push(other.to_owned());
    }
    set(service, "clusterIPs", &addresses);
    set(service, "ipFamilies", &families);
    Vec::new()
}

/// What is wrong with the fields by themselves.
fn mistakes(service: &Value, addresses: &[String], families: &[String]) -> Vec<Cause> {
    let mut causes = Vec::new();
    const POLICIES: &[&str] = &["PreferDualStack", "RequireDualStack", "SingleStack"];
    if !POLICIES.contains(&policy(service)) {
        let given = &service["spec"]["ipFamilyPolicy"];
        causes.push(Cause::not_supported("spec.ipFamilyPolicy", given, POLICIES));
    }
    let mut seen = BTreeSet::new();
    for (index, family) in families.iter().enumerate() {
        let field = format!("spec.ipFamilies[{index}]");
        if !["IPv4", "IPv6"].contains(&family.as_str()) {
            causes.push(Cause::not_supported(field, &json!(family), &["IPv4", "IPv6"]));
        } else if !seen.insert(family) {
            causes.push(Cause::duplicate(field, &json!(family)));
        }
    }
    if families.len() > 2 {
        let message = "only two ipFamilies are allowed";
        causes.push(Cause::invalid("spec.ipFamilies[2]", &json!(families), message));
    }
    let one = service.text("/spec/clusterIP");
    if let Some(first) = addresses.first().filter(|first| !one.is_empty() && *first != one) {
        let message = "first value must match `clusterIP`";
        causes.push(Cause::invalid("spec.clusterIPs", &json!(addresses), message));
        let _ = first;
    }
    let headless = addresses.iter().any(|address| address == "None");
    if headless && addresses.len() > 1 {
        let message = "'None' must be the first and only value";
        causes.push(Cause::invalid("spec.clusterIPs", &json!(addresses), message));
        return causes;
    }
    for (index, address) in addresses.iter().enumerate() {
        if address == "None" {
            continue;
        }
        let field = format!("spec.clusterIPs[{index}]");
        match address.parse::<IpAddr>() {
            Err(_) => {
                let message = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                causes.push(Cause::invalid(field, &json!(address), message));
            }
            Ok(parsed)
                if families.get(index).is_some_and(|family| *family != family_of(parsed)) =>
            {
                let message = format!(
                    "expected an {} value as indicated by `ipFamilies[{index}]`",
                    families[index]
                );
                causes.push(Cause::invalid(field, &json!(address), &message));
            }
            Ok(_) => {}
        }
    }
    if addresses.len() > 2 {
        let message = "may only hold up to 2 values";
        causes.push(Cause::invalid("spec.clusterIPs", &json!(addresses), message));
    } else if let [Ok(first), Ok(second)] =
        &addresses.iter().map(|address| address.parse::<IpAddr>()).collect::<Vec<_>>()[..]
        && first.is_ipv4() == second.is_ipv4()
    {
        let message = "may specify no more than one IP for each IP family";
        causes.push(Cause::invalid("spec.clusterIPs", &json!(addresses), message));
    }
    causes
}

/// An address for each family that has none yet.
pub(super) fn allocate(
    service: &mut Value,
    before: Option<&Value>,
    ranges: &[IpNet],
    others: &[Arc<Value>],
) -> Vec<Cause> {
    if !needs_cluster_ip(service) || is_headless(service) {
        return Vec::new();
    }
    let kept = before.map(|before| texts(before, "/spec/clusterIPs")).unwrap_or_default();
    let mut addresses = texts(service, "/spec/clusterIPs");
    for (index, family) in texts(service, "/spec/ipFamilies").iter().enumerate() {
        let asked = addresses.get(index).cloned().unwrap_or_default();
        if !asked.is_empty() && kept.contains(&asked) {
            continue;
        }
        let Some(range) = range(ranges, family) else { continue };
        let taken: BTreeSet<IpAddr> = others
            .iter()
            .flat_map(|other| texts(other, "/spec/clusterIPs"))
            .filter_map(|address| address.parse().ok())
            .collect();
        match pick(*range, &asked, &taken) {
            Ok(address) if index < addresses.len() => addresses[index] = address,
            Ok(address) => addresses.push(address),
            Err(detail) => {
                return vec![Cause::invalid("spec.clusterIPs", &json!(addresses), &detail)];
            }
        }
    }
    if let Some(first) = addresses.first().cloned() {
        service.section_mut("spec").insert("clusterIP".into(), first.into());
    }
    set(service, "clusterIPs", &addresses);
    Vec::new()
}

fn pick(range: IpNet, asked: &str, taken: &BTreeSet<IpAddr>) -> Result<String, String> {
    if let Ok(address) = asked.parse::<IpAddr>() {
        let usable = range.contains(&address) && address != range.network();
        return if !usable {
            Err(format!(
                "failed to allocate IP {asked}: the provided IP ({asked}) is not in the valid \
                 range. The range of valid IPs is {range}"
            ))
        } else if taken.contains(&address) {
            Err(format!("failed to allocate IP {asked}: provided IP is already allocated"))
        } else {
            Ok(address.to_string())
        };
    }
    // IPv6 counts the network's own address among the hosts.
    let skip = RESERVED + usize::from(matches!(range, IpNet::V6(_)));
    let free = range.hosts().skip(skip).find(|address| !taken.contains(address));
    free.map(|address| address.to_string())
        .ok_or_else(|| "failed to allocate a serviceIP: range is full".to_owned())
}
