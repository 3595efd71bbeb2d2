//! From suites to a plan: identities, placement, controls, ids.
