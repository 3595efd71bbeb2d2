//! A suite: what somebody claims about a cluster, read from YAML and checked.
