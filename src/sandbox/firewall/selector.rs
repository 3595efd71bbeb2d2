//! Label selectors.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::model::Labels;

/// Whether labels meet all requirements of a selector; an empty one asks for nothing.
pub(super) fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let wanted = selector.match_labels.iter().flatten();
    let required = selector.match_expressions.iter().flatten();
    wanted.into_iter().all(|(key, value)| labels.get(key) == Some(value))
        && required.into_iter().all(|requirement| meets(requirement, labels))
}

/// `NotIn` and `DoesNotExist` hold for labels that lack the key. The API refuses other
/// operators; should one come through, nothing meets it.
fn meets(requirement: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    let listed = |value| requirement.values.iter().flatten().any(|one| one == value);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operator_selects_what_it_says() {
        let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
        let requirement = |operator: &str, key: &str, values: &[&str]| LabelSelector {
            match_labels: None,
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values: Some(values.iter().map(ToString::to_string).collect()),
            }]),
        };
        for (operator, key, values, expected) in [
            ("In", "app", &["web", "api"][..], true),
            ("In", "app", &["api"], false),
            ("In", "tier", &["web"], false),
            ("NotIn", "app", &["web"], false),
            ("NotIn", "app", &["api"], true),
            ("NotIn", "tier", &["web"], true),
            ("Exists", "app", &[], true),
            ("Exists", "tier", &[], false),
            ("DoesNotExist", "app", &[], false),
            ("DoesNotExist", "tier", &[], true),
            ("Gt", "app", &["1"], false),
        ] {
            let found = selects(&requirement(operator, key, values), &labels);
            assert_eq!(found, expected, "{key} {operator} {values:?}");
        }
        assert!(selects(&LabelSelector::default(), &labels), "an empty selector takes all");
        assert!(selects(&LabelSelector::default(), &Labels::new()), "even the unlabelled");
        let mut both = requirement("Exists", "app", &[]);
        both.match_labels = Some(Labels::from([("app".to_owned(), "api".to_owned())]));
        assert!(!selects(&both, &labels), "labels and expressions must both hold");
    }
}
