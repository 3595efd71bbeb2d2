//! The rule, line by line in its order.

use std::{collections::BTreeSet, sync::Arc};

use super::*;
use crate::verdict::{ControlKind::*, ControlState, Reason::*, Verdict::*};

mod asked;
mod laws;

fn claim(expect: crate::model::Connectivity) -> Claim {
    Claim {
        answer: None,
        expect,
        intended: Intended::Agents(Arc::new(["api".to_owned(), "api-2".to_owned()].into())),
        evidence: EvidenceRule::Controls,
        denial: None,
        meshed: false,
        established: None,
        strangers: BTreeSet::new(),
    }
}

fn foreign(expect: crate::model::Connectivity) -> Claim {
    Claim { intended: Intended::Foreign, ..claim(expect) }
}

fn lax(claim: Claim) -> Claim {
    Claim { evidence: EvidenceRule::Any, ..claim }
}

fn shared(claim: Claim) -> Claim {
    Claim { strangers: ["shop/old".to_owned()].into(), ..claim }
}

fn meshed(claim: Claim) -> Claim {
    Claim { meshed: true, ..claim }
}

fn agent(identity: &str) -> Observation {
    let saw = "10.0.0.1:20000".parse().unwrap();
    Observation::Connected { by: AnsweredBy::Agent { identity: identity.to_owned(), saw } }
}

fn application(status: Option<u16>) -> Observation {
    Observation::Connected { by: AnsweredBy::Application { status, summary: "nginx".to_owned() } }
}

fn handshake() -> Observation {
    Observation::Connected { by: AnsweredBy::Nobody }
}

fn prohibited() -> Observation {
    Observation::Prohibited { code: "3/13".to_owned() }
}

fn failed() -> Observation {
    Observation::AgentFailed { message: "exec api: broken pipe".to_owned() }
}

fn up() -> Controls {
    let kinds = [SourcePodPath, DestinationPodPath, NodePath, Listener, Canary];
    kinds.map(|kind| (kind, ControlState::Up)).into_iter().collect()
}

fn down(kind: super::super::ControlKind) -> Controls {
    let mut controls = up();
    controls.insert(kind, ControlState::Down { detail: "timed out".to_owned() });
    controls
}

fn missing(kind: super::super::ControlKind) -> Controls {
    let mut controls = up();
    controls.insert(kind, ControlState::Missing { detail: "no control pod".to_owned() });
    controls
}

fn both_down() -> Controls {
    let mut controls = down(NodePath);
    controls.insert(Listener, ControlState::Down { detail: "timed out".to_owned() });
    controls
}

fn none() -> Controls {
    Controls::default()
}

fn not_up(control: super::super::ControlKind, detail: &str) -> crate::verdict::Reason {
    ControlNotUp { control, detail: detail.to_owned() }
}

#[test]
fn the_rule_is_asked_in_its_order() {
    let nothing = |seen: Observation| (Inconclusive, NothingSeen { seen });
    let unclear = |seen: Observation| (Inconclusive, Unclear { seen });
    let answered = |by: &str| (Pass, Answered { by: by.to_owned() });
    let connected = |by: &str| (Fail, Connected { by: by.to_owned() });
    let wrong = |verdict, by: &str, meant: &str| {
        (verdict, WrongEndpoint { by: by.to_owned(), meant: meant.to_owned() })
    };
    let message = || "what it was".to_owned();
    let unresolved = || Observation::NotResolved { message: message() };
    let nowhere = || Observation::NoDestination { message: message() };
    let changed = || Observation::NotAsPlanned { message: message() };
    let no_route = || Observation::NoRoute { message: message() };
    let local = || Observation::LocalError { message: message() };
    let path = |control| (Fail, PathDown { control, detail: "timed out".to_owned() });
    let stranger = || {
        let (with, meant) = ("shop/old".to_owned(), "api or api-2".to_owned());
        (Fail, SharedService { with, meant })
    };
    let mesh = |expect| meshed(foreign(expect));
    let replied = || (Pass, ForeignAnswered { summary: "nginx".to_owned() });
    let unproven = |because: &str| (Pass, CauseUnproven { because: because.to_owned() });
    #[rustfmt::skip]
    let rows = [
        // 1. Our own side failed: nothing was seen.
        ("1 agent failed, deny", claim(Blocked), failed(), up(), nothing(failed())),
        ("1 agent failed, allow", claim(Allowed), failed(), up(), nothing(failed())),
        ("1 agent failed outranks a path", claim(Blocked), failed(), down(NodePath), nothing(failed())),
        ("1 agent failed, evidence any", lax(claim(Blocked)), failed(), none(), nothing(failed())),
        ("1 name not resolved", foreign(Blocked), unresolved(), up(), nothing(unresolved())),
        ("1 no endpoints", claim(Blocked), nowhere(), up(), nothing(nowhere())),
        ("1 the pod was changed", claim(Allowed), changed(), up(), nothing(changed())),
        // 2. The intended peer answered, whatever the controls say.
        ("2 allow", claim(Allowed), agent("api"), up(), answered("api")),
        ("2 allow, another backend", claim(Allowed), agent("api-2"), up(), answered("api-2")),
        ("2 allow, controls down", claim(Allowed), agent("api"), down(NodePath), answered("api")),
        ("2 deny", claim(Blocked), agent("api"), up(), connected("api")),
        ("2 deny, listener down", claim(Blocked), agent("api"), down(Listener), connected("api")),
        ("2 deny, no controls", claim(Blocked), agent("api"), none(), connected("api")),
        ("2 deny, evidence any", lax(claim(Blocked)), agent("api"), none(), connected("api")),
        ("2 foreign allow", foreign(Allowed), application(None), none(), replied()),
        ("2 foreign deny, whatever HTTP says", foreign(Blocked), application(Some(500)), up(),
            connected("an application (HTTP 500)")),
        ("2 foreign allow, bare handshake", foreign(Allowed), handshake(), up(), (Pass, HandshakeOnly)),
        ("2 foreign deny, bare handshake", foreign(Blocked), handshake(), up(),
            connected("nobody (handshake only)")),
        ("2 mesh, bare handshake", mesh(Allowed), handshake(), up(), (Inconclusive, HandshakeUnproven)),
        ("2 mesh, a reply", mesh(Allowed), application(Some(200)), up(), replied()),
        ("2 mesh, deny", mesh(Blocked), handshake(), up(), connected("nobody (handshake only)")),
        ("2 an agent must speak, allow", claim(Allowed), handshake(), up(), (Inconclusive, HandshakeUnproven)),
        ("2 an agent must speak, deny", claim(Blocked), handshake(), up(), (Inconclusive, HandshakeUnproven)),
        // 3. Somebody else answered.
        ("3 allow", claim(Allowed), agent("web"), up(), wrong(Fail, "web", "api or api-2")),
        ("3 deny", claim(Blocked), agent("web"), up(), wrong(Inconclusive, "web", "api or api-2")),
        ("3 ours by chance", shared(claim(Allowed)), agent("api"), up(), stranger()),
        ("3 a stranger's handshake", shared(claim(Allowed)), handshake(), up(), stranger()),
        ("3 a stranger by name", shared(claim(Allowed)), agent("web"), up(), wrong(Fail, "web", "api or api-2")),
        ("3 ours, deny", shared(claim(Blocked)), agent("api"), up(), (Fail, Connected { by: "api".to_owned() })),
        ("3 a stranger's handshake, deny", shared(claim(Blocked)), handshake(), up(),
            wrong(Inconclusive, "nobody (handshake only)", "api or api-2")),
        ("3 an application for an agent", claim(Allowed), application(Some(200)), up(),
            wrong(Fail, "an application (HTTP 200)", "api or api-2")),
        ("3 an agent for a foreigner", foreign(Allowed), agent("web"), up(),
            wrong(Fail, "web", "a peer outside this run")),
        ("3 an agent for a foreigner, deny", foreign(Blocked), agent("web"), up(),
            wrong(Inconclusive, "web", "a peer outside this run")),
        // 4. Blocked, and a path is down.
        ("4 allow, node path", claim(Allowed), Observation::TimedOut, down(NodePath), path(NodePath)),
        ("4 allow, source", claim(Allowed), Observation::TimedOut, down(SourcePodPath), path(SourcePodPath)),
        ("4 allow, destination", claim(Allowed), Observation::Refused, down(DestinationPodPath),
            path(DestinationPodPath)),
        ("4 deny", claim(Blocked), Observation::TimedOut, down(NodePath),
            (Inconclusive, not_up(NodePath, "timed out"))),
        ("4 deny, evidence any", lax(claim(Blocked)), Observation::TimedOut, down(NodePath),
            (Inconclusive, not_up(NodePath, "timed out"))),
        ("4 a path outranks the listener", claim(Allowed), Observation::TimedOut,
            both_down(), path(NodePath)),
        // 5. Blocked, and nothing says by what.
        ("5 deny, listener down", claim(Blocked), Observation::TimedOut, down(Listener),
            (Inconclusive, not_up(Listener, "timed out"))),
        ("5 allow, listener down", claim(Allowed), Observation::Refused, down(Listener),
            (Inconclusive, not_up(Listener, "timed out"))),
        ("5 deny, no witness of the Service", claim(Blocked), Observation::Refused, down(ServicePath),
            (Inconclusive, not_up(ServicePath, "timed out"))),
        ("5 deny, nobody reached it", foreign(Blocked), Observation::TimedOut, down(ReachedBy),
            (Inconclusive, not_up(ReachedBy, "timed out"))),
        ("5 deny, canary open", claim(Blocked), Observation::TimedOut, down(Canary),
            (Inconclusive, not_up(Canary, "timed out"))),
        ("5 deny, canary missing", claim(Blocked), Observation::TimedOut, missing(Canary),
            (Inconclusive, not_up(Canary, "no control pod"))),
        ("5 deny, path missing", claim(Blocked), Observation::TimedOut, missing(NodePath),
            (Inconclusive, not_up(NodePath, "no control pod"))),
        ("5 allow, path missing", claim(Allowed), Observation::TimedOut, missing(NodePath),
            (Inconclusive, not_up(NodePath, "no control pod"))),
        ("5 deny, none", claim(Blocked), Observation::TimedOut, none(), (Inconclusive, NoControls)),
        ("5 allow, none", claim(Allowed), Observation::TimedOut, none(), (Inconclusive, NoControls)),
        ("5 deny, evidence any", lax(claim(Blocked)), Observation::TimedOut, down(Listener),
            unproven("listener: timed out")),
        ("5 deny, evidence any, none", lax(claim(Blocked)), prohibited(), none(),
            unproven("blocked, and no control says by what")),
        ("5 allow has no evidence any", lax(claim(Allowed)), Observation::TimedOut, down(Listener),
            (Inconclusive, not_up(Listener, "timed out"))),
        // 6. Blocked, every control up.
        ("6 deny, silence", claim(Blocked), Observation::TimedOut, up(), (Pass, Dropped)),
        ("6 deny, refused", claim(Blocked), Observation::Refused, up(),
            (Pass, Rejected { seen: Observation::Refused })),
        ("6 deny, prohibited", claim(Blocked), prohibited(), up(), (Pass, Rejected { seen: prohibited() })),
        ("6 deny, evidence any is not needed", lax(claim(Blocked)), Observation::TimedOut, up(), (Pass, Dropped)),
        ("6 allow, silence", claim(Allowed), Observation::TimedOut, up(),
            (Fail, crate::verdict::Reason::Blocked { seen: Observation::TimedOut })),
        ("6 allow, refused", claim(Allowed), Observation::Refused, up(),
            (Fail, crate::verdict::Reason::Blocked { seen: Observation::Refused })),
        ("6 allow, prohibited", claim(Allowed), prohibited(), up(),
            (Fail, crate::verdict::Reason::Blocked { seen: prohibited() })),
        // 7. Neither.
        ("7 no route, deny", claim(Blocked), no_route(), up(), unclear(no_route())),
        ("7 no route, allow", claim(Allowed), no_route(), up(), unclear(no_route())),
        ("7 no route, evidence any", lax(claim(Blocked)), no_route(), none(), unclear(no_route())),
        ("7 what is down explains it", claim(Allowed), no_route(), down(NodePath),
            (Inconclusive, ControlNotUp { control: NodePath, detail: "timed out".to_owned() })),
        ("7 local error", claim(Blocked), local(), up(), unclear(local())),
        ("7 reset after the handshake", claim(Blocked), Observation::Reset, up(), unclear(Observation::Reset)),
    ];
    for (what, claim, seen, controls, (verdict, reason)) in rows {
        assert_eq!(judge(&claim, &seen, &controls), Judgement { verdict, reason }, "{what}");
    }
}

#[test]
fn the_gravest_address_stands_for_the_case() {
    let claim = claim(Blocked);
    let rows = [
        ("one is open", vec![(Observation::TimedOut, up()), (agent("api"), up())], Some(Fail)),
        (
            "one is open, met first",
            vec![(agent("api"), up()), (Observation::TimedOut, up())],
            Some(Fail),
        ),
        (
            "one is unclear",
            vec![(Observation::TimedOut, up()), (Observation::Reset, up())],
            Some(Inconclusive),
        ),
        (
            "all are denied",
            vec![(Observation::TimedOut, up()), (Observation::Refused, up())],
            Some(Pass),
        ),
        ("there is none", vec![], None),
    ];
    for (what, seen, expected) in rows {
        let judged = judge_all(&claim, seen, |(seen, controls)| (seen, controls.clone()));
        assert_eq!(judged.map(|(judgement, ..)| judgement.verdict), expected, "{what}");
    }
}
