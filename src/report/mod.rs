//! The fold of all events, and a writer per format.
