//! What can come out of a stage, where readings differ.

use super::super::cluster_policy::Action;

/// What can come out of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Possible {
    pub(super) allow: bool,
    pub(super) deny: bool,
    /// The next stage decides.
    pub(super) next: bool,
}

impl Possible {
    pub(super) const ALLOW: Self = Self { allow: true, deny: false, next: false };
    pub(super) const DENY: Self = Self { allow: false, deny: true, next: false };
    pub(super) const NEXT: Self = Self { allow: false, deny: false, next: true };

    pub(super) fn or(self, other: Self) -> Self {
        Self {
            allow: self.allow || other.allow,
            deny: self.deny || other.deny,
            next: self.next || other.next,
        }
    }

    pub(super) fn of(action: Action) -> Self {
        match action {
            Action::Accept => Self::ALLOW,
            Action::Deny => Self::DENY,
            Action::Pass => Self::NEXT,
        }
    }

    /// What was possible, with `next` replaced by what the next stage says.
    pub(super) fn then(self, next: impl FnOnce() -> Self) -> Self {
        if self.next { Self { next: false, ..self }.or(next()) } else { self }
    }
}
