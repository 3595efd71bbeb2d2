//! The agent's clock: microseconds since its machine booted.
//!
//! CLOCK_BOOTTIME runs through suspends and is the same in every process of a machine, so
//! a session that is made anew goes on where the last one stopped.

use nix::time::{ClockId, clock_gettime};

/// Microseconds since the machine booted.
pub fn now() -> u64 {
    // Every Linux since 2.6.39 has this clock; zero would only make times look early.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let nanoseconds = u64::try_from(time.tv_nsec()).unwrap_or(0);
        seconds * 1_000_000 + nanoseconds / 1_000
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_clock_runs_forward() {
        let earlier = super::now();
        assert!(earlier > 0);
        assert!(super::now() >= earlier);
    }
}
