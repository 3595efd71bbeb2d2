//! What to do about a cause that the policies name.

use super::{Enforcement, ReportedCase};
use crate::{event::CaseOutcome, verdict::CauseKind};

/// What to do next; nothing where the cause tells no more than the verdict does.
pub(super) fn of_cause(
    case: &ReportedCase,
    outcome: &CaseOutcome,
    enforcement: &Enforcement,
) -> Option<String> {
    let cause = outcome.cause.as_ref()?;
    let spec = &cause.spec;
    let (from, to, port) = (&case.info.from, &case.info.to, case.info.port);
    Some(match cause.kind {
        CauseKind::NotEnforced => match enforcement {
            Enforcement::Partly { open } => format!(
                "The CNI leaves {} open, as said first. Deny the other direction too, or repair \
                 the CNI.",
                super::enforcement::places(open)
            ),
            _ => "The API server has these policies, and the wire does not. Look at the CNI's \
                  agents on the nodes of both ends and at what they log about these policies, \
                  and whether this CNI implements what they use."
                .to_owned(),
        },
        CauseKind::PolicyAllows if !spec.rules.is_empty() => {
            "Narrow that rule, or take it away. Policies only add up: no other NetworkPolicy can \
             take back what one allows."
                .to_owned()
        }
        CauseKind::PolicyAllows if !spec.nearest.is_empty() => {
            "Correct that selector: a policy that selects no pod denies nothing.".to_owned()
        }
        CauseKind::PolicyAllows => format!(
            "Isolate {to} for ingress (or {from} for egress) by a NetworkPolicy that selects it, \
             without a rule that lets {from} through on {port}."
        ),
        CauseKind::PolicyDenies if !spec.nearest.is_empty() => {
            "Correct what is nearest, or add a rule of its own to one of these policies.".to_owned()
        }
        CauseKind::PolicyDenies => format!(
            "Add a rule to one of these policies that lets {from} through to {to} on {port}. \
             Rules compare the pod's own port, not the Service's."
        ),
        CauseKind::CniBlocks if let Some(seen_as) = outcome.endpoints.seen_as => format!(
            "Source NAT on the way makes {from} arrive as {seen_as}, and no selector of labels fits \
             that. Keep pods' addresses out of what is masqueraded (nonMasqueradeCIDRs of \
             ip-masq-agent, masqueradeAll of kube-proxy, the CNI's own setting). Where that rule \
             goes by addresses alone, look at the CNI's agents on the nodes of both ends."
        ),
        CauseKind::CniBlocks => {
            "The API server has these policies, and the wire does something else. Look at the \
             CNI's agents on the nodes of both ends, and whether this CNI implements what that \
             rule uses."
                .to_owned()
        }
        CauseKind::Undetermined if spec.is_blind() => {
            "Look at what the warning above names with the tools of whoever made it: netproof \
             does not understand it."
                .to_owned()
        }
        CauseKind::Undetermined | CauseKind::BlockedOtherwise => return None,
    })
}
