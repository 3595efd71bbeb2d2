//! What happened, as owned facts in order.
