//! Amounts of resources: `100m`, `1.5`, `128Mi`, `2G`, `1e3`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::sandbox::api::object::Object;

/// An amount in thousandths. What is no amount is nothing.
pub(super) fn milli(value: &Value) -> i128 {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return 0,
    };
    let end = text
        .find(|character: char| !(character.is_ascii_digit() || ".+-".contains(character)))
        .unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let Ok(amount) = digits.parse::<f64>() else { return 0 };
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024_f64.powi(3),
        "Ti" => 1024_f64.powi(4),
        "Pi" => 1024_f64.powi(5),
        "Ei" => 1024_f64.powi(6),
        other => match other.strip_prefix(['e', 'E']).and_then(|power| power.parse().ok()) {
            Some(power) => 10_f64.powi(power),
            None => return 0,
        },
    };
    #[expect(clippy::cast_possible_truncation, reason = "a cast from f64 saturates")]
    let milli = (amount * factor * 1000.0).ceil() as i128;
    milli
}

/// Amounts by resource.
pub(super) type Amounts = BTreeMap<String, i128>;

fn amounts(map: &Value) -> Amounts {
    let map = map.as_object().into_iter().flatten();
    map.map(|(name, value)| (name.clone(), milli(value))).collect()
}

/// What a node can give.
pub(super) fn allocatable(node: &Value) -> Amounts {
    amounts(&node["status"]["allocatable"])
}

/// What a pod asks for: the sum of its containers and sidecars, or what an init container
/// needs at its turn, if that is more; and the overhead.
pub(super) fn requests(pod: &Value) -> Amounts {
    let add = |total: &mut Amounts, more: &Amounts| {
        for (name, amount) in more {
            *total.entry(name.clone()).or_default() += amount;
        }
    };
    let mut running = Amounts::new();
    for container in pod.items("/spec/containers") {
        add(&mut running, &amounts(&container["resources"]["requests"]));
    }
    let mut sidecars = Amounts::new();
    let mut peak = Amounts::new();
    for container in pod.items("/spec/initContainers") {
        let mut turn = amounts(&container["resources"]["requests"]);
        if container["restartPolicy"] == "Always" {
            add(&mut running, &turn);
            add(&mut sidecars, &turn);
            turn.clone_from(&sidecars);
        } else {
            add(&mut turn, &sidecars);
        }
        for (name, amount) in turn {
            let most = peak.entry(name).or_default();
            *most = amount.max(*most);
        }
    }
    for (name, amount) in peak {
        let most = running.entry(name).or_default();
        *most = amount.max(*most);
    }
    add(&mut running, &amounts(&pod["spec"]["overhead"]));
    running
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_read_with_their_suffixes() {
        for (text, expected) in [
            ("100m", 100),
            ("1", 1000),
            ("1.5", 1500),
            ("1Ki", 1_024_000),
            ("2k", 2_000_000),
            ("1e3", 1_000_000),
            ("0.1m", 1),
            ("lots", 0),
            ("", 0),
        ] {
            assert_eq!(milli(&text.into()), expected, "{text}");
        }
        assert_eq!(milli(&json!(2)), 2000);
    }

    #[test]
    fn init_containers_count_at_their_turn_and_sidecars_always() {
        let of = |cpu: &str, policy: Option<&str>| {
            let mut container = json!({"resources": {"requests": {"cpu": cpu}}});
            if let Some(policy) = policy {
                container["restartPolicy"] = policy.into();
            }
            container
        };
        for (message, inits, expected) in [
            ("none", json!([]), 300),
            ("a small one", json!([of("200m", None)]), 300),
            ("a large one", json!([of("1", None)]), 1000),
            ("a sidecar", json!([of("100m", Some("Always"))]), 400),
            ("after a sidecar", json!([of("100m", Some("Always")), of("1", None)]), 1100),
        ] {
            let pod = json!({"spec": {
                "containers": [of("100m", None), of("200m", None)], "initContainers": inits,
            }});
            assert_eq!(requests(&pod)["cpu"], expected, "{message}");
        }
    }
}
