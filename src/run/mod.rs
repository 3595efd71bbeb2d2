//! The runner: rounds, settling, cancelling.
