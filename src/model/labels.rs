//! Labels, as Kubernetes has them.

use std::collections::BTreeMap;

/// Label keys and values of a namespace or a pod, in order of their keys.
pub type Labels = BTreeMap<String, String>;
