//! What to do next, for every reason that isn't a pass.

use super::{Enforcement, ReportedCase, remedy};
use crate::{
    event::CaseOutcome,
    model::{Connectivity, IpProtocol},
    verdict::{ControlKind, Observation, Reason},
};

/// What a tired engineer may try first; nothing where there is nothing to do.
pub(super) fn next(
    case: &ReportedCase,
    outcome: &CaseOutcome,
    enforcement: &Enforcement,
) -> Option<String> {
    let (from, to, port) = (&case.info.from, &case.info.to, case.info.port);
    let number = port.number;
    let carried = match port.protocol.transport() {
        IpProtocol::Icmp => "ICMP".to_owned(),
        transport => format!("{transport} {number}"),
    };
    let text = match &outcome.judgement.reason {
        Reason::Connected { .. } | Reason::Blocked { .. } | Reason::Flapping { .. }
            if let Some(text) = remedy::of_cause(case, outcome, enforcement) =>
        {
            text
        }
        Reason::Connected { .. } => match enforcement {
            Enforcement::Partly { open } => format!(
                "The CNI leaves {} open, as said first. If the policy for this denial works in \
                 that direction, this is why; deny the other direction too, or repair the CNI.",
                super::enforcement::places(open)
            ),
            _ => format!(
                "Isolation bites on these nodes, so look at the policies: one must select {to} \
                 with policyType Ingress (or {from} with Egress), and no rule of any policy may \
                 let {from} through on {carried}. Compare podSelectors with the labels \
                 above: a selector with a typo selects nothing and denies nothing."
            ),
        },
        Reason::Survived { .. } => "Most CNIs judge a connection when it is opened and never \
                                    again. Where it has to end with the policy, restart one of \
                                    its ends."
            .to_owned(),
        Reason::Cut { .. } => "This CNI judges connections that stand, too: a change of policy \
                               ends them. Plan for that, or claim `established: report`."
            .to_owned(),
        Reason::OpenAtFirst { .. } => "The CNI lets a pod's containers start before its policies \
                                       are in force there. Until that is changed, the pod itself \
                                       has to wait."
            .to_owned(),
        Reason::Blocked { .. } => format!(
            "The network is up and {to} listens, so something denies it. If a policy isolates \
             {to} for ingress, one needs a rule that lets {from} in on {carried}; if \
             one isolates {from} for egress, one needs a rule that lets it out to {to}. Rules \
             compare the pod's own port, not the Service's."
        ),
        Reason::SharedService { with, .. } => format!(
            "The Service's selector fits {with} as well. Narrow it, or move one of them away: \
             what {to} answers is otherwise chance."
        ),
        Reason::WrongEndpoint { .. } => match case.info.expect {
            Connectivity::Allowed => format!(
                "Find out who has that address: a Service that selects more pods than {to}, or \
                 an address that was given to another pod."
            ),
            Connectivity::Blocked => format!(
                "That somebody else answered says nothing of {to}. Find out who has that \
                 address, then ask again."
            ),
        },
        Reason::OtherAnswer { .. } => format!(
            "The network let it through: what {to} answers is the application's matter. Look at \
             its logs, and at the request that the case describes."
        ),
        Reason::PathDown { control, .. } => control_advice(*control, case),
        Reason::OtherDenial { wanted, .. } => format!(
            "Traffic is kept out, but not by {wanted}. Most CNIs have one way of denying: change \
             its settings, or what the case asks for."
        ),
        Reason::Flapping { .. } => "The cluster doesn't hold its state. Look for a controller \
                                    that rewrites the policies or the pods' labels, and for a CNI \
                                    agent that restarts on one of the nodes."
            .to_owned(),
        Reason::NothingSeen { seen } => match seen {
            Observation::NotResolved { .. } => format!(
                "{from} must be able to resolve names: allow it egress to the cluster's DNS on \
                 UDP and TCP 53, or claim this about an address."
            ),
            Observation::NotAsPlanned { .. } => {
                "Somebody else changes pods in this namespace: a webhook, a controller, a person. \
                 Policies may treat the pod as it is now differently."
                    .to_owned()
            }
            Observation::NotEstablished { .. } => format!(
                "A connection has to stand before the step changes anything. Claim in an earlier \
                 step that {from} may connect to {to}, and see why it doesn't."
            ),
            Observation::NoDestination { .. } => format!(
                "There was nothing to dial. Look at {to}: does the Service exist, does it expose \
                 port {number}, does its selector match a pod that is ready (kubectl get \
                 endpointslices)?"
            ),
            _ => format!(
                "Nothing was asked of the network. Look at the pod of {from} (kubectl describe \
                 pod, kubectl logs; --keep leaves it there) and at whether exec is permitted."
            ),
        },
        Reason::ControlNotUp { control, .. } => control_advice(*control, case),
        Reason::NoControls => {
            "Run where control pods are permitted, or name a namespace for them with \
             --control-namespace. `evidence: any` lets the case pass without, marked so."
                .to_owned()
        }
        Reason::HandshakeUnproven => {
            "A proxy or a load balancer may have taken the connection. Ask by HTTP, or of a pod \
             without a sidecar."
                .to_owned()
        }
        Reason::Unclear { seen } => match seen {
            Observation::NoRoute { .. } => format!(
                "No packet got as far as a policy. Look at the routes of {from}'s node, and \
                 whether the address exists."
            ),
            Observation::LocalError { .. } => format!(
                "The kernel under {from} refused to send. Some CNIs deny that way; a missing \
                 address family or exhausted ports look the same."
            ),
            _ => format!(
                "Something took the connection and threw it away: a proxy, a load balancer \
                 without backends, or {to} itself."
            ),
        },
        Reason::NotSettled { .. } => {
            "Give it more time: a longer `within`, or a longer --deadline.".to_owned()
        }
        Reason::NotAsked { .. }
        | Reason::NotChanged { .. }
        | Reason::Answered { .. }
        | Reason::ForeignAnswered { .. }
        | Reason::HandshakeOnly
        | Reason::OpenAfter { .. }
        | Reason::ClosedFromStart { .. }
        | Reason::Dropped
        | Reason::Rejected { .. }
        | Reason::CauseUnproven { .. } => return None,
    };
    Some(text)
}

/// What to do about a control that isn't up.
fn control_advice(control: ControlKind, case: &ReportedCase) -> String {
    let (from, to, port) = (&case.info.from, &case.info.to, case.info.port);
    match control {
        ControlKind::SourcePodPath => format!(
            "No policy did this: the kubelet can't reach {from}'s pod either. Look at the pod \
             and at the CNI agent on its node."
        ),
        ControlKind::DestinationPodPath => format!(
            "No policy did this: the kubelet can't reach {to}'s pod either. Look at the pod and \
             at the CNI agent on its node."
        ),
        ControlKind::NodePath => "Pods that no policy of the suite isolates fail on the same way. \
                                  Look at the overlay, the routes and the packet filters between \
                                  these nodes; where a policy over the whole cluster does it, \
                                  exempt netproof's control namespace from it."
            .to_owned(),
        ControlKind::Listener => format!(
            "Nothing answers on {port} inside {to}'s own pod, so that a denial can't be told \
             from a dead server. Start the server, or correct the port."
        ),
        ControlKind::ServicePath => format!(
            "Nobody on {from}'s node was answered through {to}, so that a denial can't be told \
             from a Service that isn't programmed. Look at its endpoints; an allow case to it \
             gives netproof a witness."
        ),
        ControlKind::ReachedBy if case.info.expect == Connectivity::Allowed => format!(
            "Nobody else reaches {to} either. See that it is up; a peer that is known to reach \
             it, named in the case's `reachedBy`, tells a dead {to} from a policy."
        ),
        ControlKind::ReachedBy => format!(
            "Nobody was seen to reach {to}, so that a denial can't be told from a dead host. \
             Name a peer that may reach it in the case's `reachedBy`."
        ),
        ControlKind::Canary => "Isolation was not seen to bite on these nodes, so that a denial \
                                can't be told from an accident. A cluster-wide policy may cover \
                                the control pods: exempt their namespace, or name another with \
                                --control-namespace."
            .to_owned(),
    }
}
