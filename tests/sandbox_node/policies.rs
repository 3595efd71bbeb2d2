//! Policies, Services and faults, judged by packets.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use futures::future::join_all;
use netproof::sandbox::fault::NetworkFault as Fault;

use crate::{
    lab::{Lab, Seen},
    nft,
    scenario::{Outcome, text},
};

/// `web>db:8080/udp`, and whether it is answered.
fn parse(claim: &str) -> (&str, &str, u16, bool) {
    let (from, rest) = claim.split_once('>').expect(claim);
    let (to, rest) = rest.split_once(':').expect(claim);
    let (port, udp) = match rest.strip_suffix("/udp") {
        Some(port) => (port, true),
        None => (rest, false),
    };
    (from, to, port.parse().expect(claim), udp)
}

/// What each claim came to that isn't as expected.
async fn violated(
    lab: &Lab,
    family: Family,
    claims: &str,
    expected: impl Fn(&str, bool) -> Seen,
) -> Vec<String> {
    let dials = claims.split_whitespace().map(async |claim| {
        let (from, to, port, udp) = parse(claim);
        let address = |name| lab.addresses(name)[family as usize];
        let wanted = match expected(to, udp) {
            Seen::Answer(by, _) => Seen::Answer(by, address(from)),
            other => other,
        };
        let seen = lab.expect(from, (address(to), port).into(), udp, &wanted).await;
        (seen != wanted).then(|| format!("{family:?}: {claim} was {seen}, expected {wanted}"))
    });
    join_all(dials).await.into_iter().flatten().collect()
}

/// The place of a family's address among a pod's.
#[derive(Clone, Copy, Debug)]
pub enum Family {
    V4,
    V6,
}

/// What was answered that should not be, and what was not that should, in both families.
pub async fn check(lab: &Lab, allowed: &str, denied: &str) -> Vec<String> {
    let (four, six) = futures::join!(
        check_in(lab, Family::V4, allowed, denied),
        check_in(lab, Family::V6, allowed, denied)
    );
    [four, six].concat()
}

pub async fn check_in(lab: &Lab, family: Family, allowed: &str, denied: &str) -> Vec<String> {
    let answered = |to: &str, _| Seen::Answer(to.to_owned(), Ipv4Addr::UNSPECIFIED.into());
    let (mut wrong, open) = futures::join!(
        violated(lab, family, allowed, answered),
        violated(lab, family, denied, |_, _| Seen::Silence)
    );
    wrong.extend(open);
    wrong
}

pub fn outcome(wrong: Vec<String>) -> Outcome {
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

struct Row {
    claim: &'static str,
    policies: &'static str,
    allowed: &'static str,
    denied: &'static str,
}

/// A policy in `shop` on the pods `app=db`, or on all with `*`.
macro_rules! row {
    ($claim:literal, $spec:expr, allowed: $allowed:literal, denied: $denied:literal) => {
        Row {
            claim: $claim,
            policies: concat!("metadata: {name: it}\nspec: ", $spec),
            allowed: $allowed,
            denied: $denied,
        }
    };
}

const ROWS: &[Row] = &[
    Row {
        claim: "without a policy everything is allowed",
        policies: "",
        allowed: "web>db:8080 web>db:8080/udp guest>web:9090 world>db:8080 db>world:8080",
        denied: "",
    },
    row!(
        "an ingress policy without rules closes ingress, and ingress alone, but to the own node",
        "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}",
        allowed: "db>web:8080 db>world:8080/udp two>db:8080 two>db:8080/udp web>job:8080",
        denied: "web>db:8080 web>db:8080/udp job>db:8080 world>db:8080 one>db:8080"
    ),
    row!(
        "an egress policy without rules closes egress, and egress alone",
        "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}",
        allowed: "db>web:8080 api>web:8080/udp world>web:8080 one>web:8080",
        denied: "web>db:8080 web>api:8080 web>api:9090/udp web>world:8080 web>two:8080"
    ),
    row!(
        "policyTypes left out mean ingress, and egress only with egress rules",
        "{podSelector: {matchLabels: {app: db}}, egress: []}",
        allowed: "db>web:8080",
        denied: "web>db:8080"
    ),
    row!(
        "policyTypes left out with an egress rule mean both",
        "{podSelector: {matchLabels: {app: db}}, egress: [{ports: [{port: 9090}]}]}",
        allowed: "db>web:9090",
        denied: "web>db:8080 db>web:8080 db>web:9090/udp"
    ),
    row!(
        "rules of a direction that is not among the policyTypes are ignored",
        "{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], ingress: [], egress: [{}]}",
        allowed: "web>db:8080 db>web:8080 db>world:8080/udp",
        denied: ""
    ),
    row!(
        "a policy without a spec closes ingress of its namespace, and of no other",
        "{}",
        allowed: "web>guest:8080 db>guest:8080/udp one>web:8080",
        denied: "web>db:8080 guest>web:8080 api>web:8080"
    ),
    row!(
        "an empty rule allows everything",
        "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}",
        allowed: "web>db:8080 web>db:8080/udp guest>web:9090 db>world:8080",
        denied: ""
    ),
    row!(
        "empty lists of peers and ports allow everything",
        "{podSelector: {}, ingress: [{from: [], ports: []}]}",
        allowed: "web>db:8080 guest>db:8080/udp world>db:9090",
        denied: ""
    ),
    row!(
        "a podSelector alone means the policy's own namespace",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}",
        allowed: "web>db:8080 web>db:9090/udp",
        denied: "guest>db:8080 api>db:8080 world>db:8080"
    ),
    row!(
        "a namespaceSelector alone means all pods of those namespaces",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}",
        allowed: "guest>db:8080",
        denied: "web>db:8080 api>db:8080"
    ),
    row!(
        "both selectors of a peer must hold",
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: web}}}]}]}",
        allowed: "web>db:8080",
        denied: "guest>db:8080 api>db:8080"
    ),
    row!(
        "one of two peers is enough",
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}, {podSelector: {matchLabels: {app: api}}}]}]}",
        allowed: "guest>db:8080 api>db:8080 api>web:8080",
        denied: "web>db:8080"
    ),
    row!(
        "an empty namespaceSelector means every namespace, an empty podSelector the own",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 8080}]}, {from: [{podSelector: {}}], ports: [{port: 9090}]}]}",
        allowed: "guest>db:8080 web>db:8080 web>db:9090",
        denied: "guest>db:9090 world>db:8080 world>db:9090"
    ),
    row!(
        "NotIn and DoesNotExist take what lacks the key",
        "{podSelector: {matchExpressions: [{key: app, operator: In, values: [db, job]}]}, ingress: [{from: [{podSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}, {key: app, operator: NotIn, values: [job]}]}}]}]}",
        allowed: "api>db:8080 db>job:8080 web>api:8080",
        denied: "web>db:8080 job>db:8080 web>job:8080"
    ),
    row!(
        "a port is TCP unless it says otherwise",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 8080}]}]}",
        allowed: "web>db:8080 world>db:8080",
        denied: "web>db:9090 web>db:8080/udp"
    ),
    row!(
        "an empty port is every TCP port",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{}]}]}",
        allowed: "web>db:8080 web>db:9090",
        denied: "web>db:8080/udp"
    ),
    row!(
        "a protocol alone is every port of it",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{protocol: UDP}]}]}",
        allowed: "web>db:8080/udp web>db:9090/udp",
        denied: "web>db:8080"
    ),
    row!(
        "a range holds its last port, and none beyond",
        "{podSelector: {}, ingress: [{ports: [{port: 8000, endPort: 8080}, {port: 8081, endPort: 9089, protocol: UDP}]}]}",
        allowed: "web>db:8080",
        denied: "web>db:9090 web>db:8080/udp web>db:9090/udp"
    ),
    row!(
        "a named port is the destination's own, for ingress",
        "{podSelector: {}, ingress: [{ports: [{port: main}]}]}",
        allowed: "web>db:9090 web>api:8080",
        denied: "web>db:8080 web>api:9090 web>db:9090/udp"
    ),
    row!(
        "a named port is the destination's own, for egress",
        "{podSelector: {matchLabels: {app: web}}, egress: [{to: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [db, api]}]}}], ports: [{port: main, protocol: UDP}]}], policyTypes: [Egress]}",
        allowed: "web>db:9090/udp web>api:8080/udp",
        denied: "web>db:8080/udp web>api:9090/udp web>db:9090 web>job:8080/udp web>guest:8080/udp"
    ),
    row!(
        "a name that no port has allows nothing",
        "{podSelector: {}, ingress: [{ports: [{port: other}]}]}",
        allowed: "",
        denied: "web>db:8080 web>db:9090"
    ),
    row!(
        "an ipBlock's exceptions are taken out of it alone",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{ipBlock: {cidr: 10.77.0.0/16, except: [10.77.1.10/32]}}]}, {from: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: 8080}]}]}",
        allowed: "api>db:8080 job>db:9090 guest>db:8080 world>db:8080",
        denied: "web>db:8080 world>db:9090 one>db:8080"
    ),
    row!(
        "the block of all addresses takes all addresses",
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 8080}]}]}",
        allowed: "web>db:8080 world>db:8080 one>db:8080 guest>web:8080",
        denied: "web>db:9090 web>db:8080/udp"
    ),
    row!(
        "what one block excepts another rule may allow",
        "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [203.0.113.0/24, 10.77.2.0/24]}}, {ipBlock: {cidr: 203.0.113.9/32}}]}]}",
        allowed: "web>world:8080 web>api:8080 web>two:8080",
        denied: "web>db:8080 web>job:8080/udp"
    ),
    row!(
        "an SCTP rule isolates and allows no TCP",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 8080, protocol: SCTP}]}]}",
        allowed: "db>web:8080",
        denied: "web>db:8080 web>db:8080/udp"
    ),
    Row {
        claim: "policies add up, and both ends must agree, on one node and across",
        policies: "
metadata: {name: deny-all}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 8080}]}]
---
metadata: {name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
  egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]
---
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 8080, protocol: UDP}]}]
---
metadata: {name: deny-all, namespace: other}
spec: {podSelector: {matchLabels: {app: none}}, policyTypes: [Ingress, Egress]}
",
        allowed: "api>db:8080 web>api:8080/udp guest>world:8080 one>web:8080",
        denied: "api>db:9090 api>db:8080/udp web>api:8080 web>db:8080 job>db:8080 guest>db:8080",
    },
];

/// The blocks of the rows, and those of the same ends in the other family.
const BLOCKS: [(&str, &str); 6] = [
    ("10.77.0.0/16", "fd77:10:77::/48"),
    ("10.77.1.10/32", "fd77:10:77:1::a/128"),
    ("10.77.2.0/24", "fd77:10:77:2::/64"),
    ("203.0.113.0/24", "2001:db8::/48"),
    ("203.0.113.9/32", "2001:db8::9/128"),
    ("0.0.0.0/0", "::/0"),
];

pub async fn policies_decide_on_the_wire() -> Outcome {
    let mut lab = Lab::new().await?;
    let mut wrong = Vec::new();
    for row in ROWS {
        let claim = |line: String| format!("{}: {line}", row.claim);
        lab.apply(row.policies).await.map_err(claim)?;
        let mut found = check_in(&lab, Family::V4, row.allowed, row.denied).await;
        // Blocks have to be of the family that they are asked about.
        let six = BLOCKS.iter().fold(row.policies.to_owned(), |text, (four, six)| {
            text.replace(four, &format!("'{six}'"))
        });
        lab.apply(&six).await.map_err(claim)?;
        found.extend(check_in(&lab, Family::V6, row.allowed, row.denied).await);
        wrong.extend(found.into_iter().map(claim));
        nft::same_as_the_kernels(&mut lab).await.map_err(claim)?;
    }
    outcome(wrong)
}

const DENY_ALL: &str = "
metadata: {name: deny-all}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
";
const OPEN_EGRESS: &str = "
metadata: {name: deny-ingress}
spec: {podSelector: {}, policyTypes: [Ingress, Egress], egress: [{}]}
";
const OPEN_INGRESS: &str = "
metadata: {name: deny-egress}
spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}]}
";

pub async fn established_connections_stay() -> Outcome {
    let mut lab = Lab::new().await?;
    let echo = SocketAddr::from((lab.address("db"), 7000));
    lab.pod("db")
        .run(move || {
            let listener = TcpListener::bind(echo)?;
            thread::spawn(move || {
                while let Ok((mut stream, _)) = listener.accept() {
                    let mut word = [0; 4];
                    while stream.read_exact(&mut word).is_ok() && stream.write_all(&word).is_ok() {}
                }
            });
            Ok::<_, std::io::Error>(())
        })
        .await
        .and_then(|bound| bound)
        .map_err(text)?;
    let connected = lab
        .pod("web")
        .run(move || {
            let tcp = TcpStream::connect_timeout(&echo, Duration::from_secs(1))?;
            tcp.set_read_timeout(Some(Duration::from_secs(2)))?;
            let udp = UdpSocket::bind("0.0.0.0:0")?;
            udp.set_read_timeout(Some(Duration::from_secs(2)))?;
            udp.connect((echo.ip(), 8080))?;
            Ok::<_, std::io::Error>((tcp, udp))
        })
        .await
        .and_then(|made| made)
        .map_err(text)?;
    let ask = |(mut tcp, udp): (TcpStream, UdpSocket)| {
        let mut word = [0; 64];
        tcp.write_all(b"ping").and_then(|()| tcp.read_exact(&mut word[..4])).map_err(text)?;
        udp.send(b"?").and_then(|_| udp.recv(&mut word)).map_err(text)?;
        Ok::<_, String>((tcp, udp))
    };
    let connected = tokio::task::spawn_blocking(move || ask(connected)).await.map_err(text)??;
    lab.apply(DENY_ALL).await?;
    let still = tokio::task::spawn_blocking(move || ask(connected)).await.map_err(text)?;
    still.map_err(|error| format!("an established connection after a denial: {error}"))?;
    outcome(check(&lab, "", "web>db:7000 web>db:8080/udp").await)
}

pub async fn faults_break_what_they_say() -> Outcome {
    let mut lab = Lab::new().await?;
    let all = "web>db:8080 web>api:8080/udp db>web:8080 web>world:8080 world>web:8080";
    let mut wrong = Vec::new();
    for (fault, policies, allowed, denied) in [
        ("enforce-nothing", DENY_ALL, all, ""),
        (
            "ignore-ingress",
            DENY_ALL,
            "world>web:8080",
            "web>db:8080 web>api:8080/udp web>world:8080",
        ),
        ("ignore-ingress", OPEN_EGRESS, all, ""),
        (
            "ignore-egress",
            DENY_ALL,
            "web>world:8080",
            "web>db:8080 web>api:8080/udp world>web:8080",
        ),
        ("ignore-egress", OPEN_INGRESS, all, ""),
        ("delay=8s", DENY_ALL, "one>web:8080", all),
        (
            "loss=100%",
            "",
            "one>web:8080 world>web:8080 web>world:8080/udp",
            "web>db:8080 web>api:8080",
        ),
        ("loss=0%", "", all, ""),
        (
            "dead-path",
            "",
            "web>api:8080 db>job:8080 web>world:8080 world>db:8080 one>web:8080",
            "web>db:8080 db>web:8080/udp one>db:8080 one>two:8080",
        ),
    ] {
        lab.faults = vec![fault.parse().map_err(text)?];
        lab.apply(policies).await?;
        let found = check(&lab, allowed, denied).await;
        wrong.extend(found.into_iter().map(|line| format!("{fault}: {line}")));
    }
    lab.faults = vec![Fault::Reject];
    lab.apply(DENY_ALL).await?;
    let refused = |_: &str, udp| if udp { Seen::Prohibited } else { Seen::Refused };
    let denied = "web>db:8080 web>api:8080 world>web:8080 web>db:8080/udp world>db:9090/udp";
    wrong.extend(violated(&lab, Family::V4, denied, refused).await);
    lab.apply(OPEN_EGRESS).await?;
    // Refused at the destination's node, the answer must find its way back.
    wrong.extend(violated(&lab, Family::V4, "api>db:8080 api>job:8080/udp", refused).await);
    lab.faults.clear();
    lab.apply("").await?;
    wrong.extend(check(&lab, all, "").await);
    outcome(wrong)
}

pub async fn loss_takes_its_share_each_way() -> Outcome {
    let mut lab = Lab::new().await?;
    lab.faults = vec!["loss=20%".parse().map_err(text)?];
    lab.apply("").await?;
    for to in ["db", "api"] {
        let to = (lab.address(to), 8080);
        let answers = lab
            .pod("web")
            .run(move || {
                let sockets = (0..1000).map(|_| {
                    let socket = UdpSocket::bind("0.0.0.0:0")?;
                    socket.set_read_timeout(Some(Duration::from_millis(1)))?;
                    socket.connect(to)?;
                    socket.send(b"?")?;
                    Ok(socket)
                });
                let mut waiting = sockets.collect::<Result<Vec<_>, std::io::Error>>()?;
                let sent = waiting.len();
                // Whatever comes has come when a whole pass over the rest brings nothing new.
                let mut before = usize::MAX;
                while waiting.len() < before {
                    before = waiting.len();
                    waiting.retain(|socket| socket.recv(&mut [0; 64]).is_err());
                }
                Ok::<_, std::io::Error>(sent - waiting.len())
            })
            .await
            .and_then(|counted| counted)
            .map_err(text)?;
        // 0.8 × 0.8 of them; seven standard deviations either way.
        if !(533..=747).contains(&answers) {
            return Err(format!("{answers} of 1000 answers from {to:?} at a loss of 20%"));
        }
    }
    Ok(())
}
