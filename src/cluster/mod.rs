//! Every call to Kubernetes.
