//! A probe pod's manifest.
