//! What lists and tables expand to, and claims that make no sense.

use super::*;

/// `name/port` of each case.
fn ids(cases: &[Case]) -> Vec<String> {
    cases.iter().map(|case| format!("{}/{}", case.name, case.port.label)).collect()
}

#[test]
fn lists_expand_to_a_case_per_pair_and_port() {
    for (case, expected) in [
        ("from: web, to: api, port: main", &["a/main"][..]),
        ("from: [web], to: api, port: main", &["a/main"]),
        ("from: [web, db], to: api, port: dns", &["a-web-api/dns", "a-db-api/dns"]),
        ("from: web, to: api, port: [main, 53/udp]", &["a/main", "a/53-udp"]),
        ("from: web, to: api, port: 8080", &["a/8080"]),
        ("from: web, to: db, port: 8080/tcp", &["a/8080"]),
        ("from: web, to: all, port: 8080", &["a-web-api/8080", "a-web-db/8080"]),
        ("from: all, to: db, port: main", &["a-api-db/main", "a-web-db/main"]),
        ("from: all, to: out, port: 443", &["a-api-out/443", "a-db-out/443", "a-web-out/443"]),
        ("from: web, to: [example, out], port: main", &["a-web-example/main", "a-web-out/main"]),
    ] {
        let cases = good_cases(&format!("cases: [{{name: a, {case}, expect: deny}}]"));
        assert_eq!(ids(&cases), expected, "{case}");
    }
}

#[test]
fn a_bare_number_speaks_the_listener_s_protocol() {
    let cases = good_cases("cases: [{name: a, from: web, to: api, port: 8080, expect: allow}]");
    assert_eq!(cases[0].port.port.to_string(), "8080/http");
}

#[test]
fn tables_are_read_however_they_are_aligned() {
    for rows in [
        "rows: |\n          web db\n      web -   X\n      db  .   -\n",
        "rows: |2\n          web db\n      web -   X\n      db  .   -\n",
        "rows: |\n      web db\n      web - X\n\n      # why\n      db . -\n",
        "rows: |-   # compact\n       web db\n      web - X\n      db . -",
    ] {
        let cases = good_cases(&format!("tables:\n  - name: t\n    port: main\n    {rows}"));
        let found: Vec<(&str, Connectivity)> =
            cases.iter().map(|case| (case.name.as_str(), case.expect)).collect();
        assert_eq!(
            found,
            [("t-web-db", Connectivity::Blocked), ("t-db-web", Connectivity::Allowed)],
            "{rows}"
        );
    }
}

#[test]
fn evidence_in_a_table_is_about_its_denials() {
    let cases = good_cases(
        "tables:\n  - name: t\n    port: main\n    evidence: any\n    rows: |\n          web db\n      web -   X\n      db  .   -\n",
    );
    let rules: Vec<EvidenceRule> = cases.iter().map(|case| case.evidence).collect();
    assert_eq!(rules, [EvidenceRule::Any, EvidenceRule::Controls]);
}

#[test]
fn mistakes_in_a_table_point_at_the_character() {
    snapshot!(wrong_rest(
        "\
tables:
  - name: grid
    port: main
    rows: |
            web  ap1  db  web
      web   X    .    x   .
      db    -    ?
      db    -    -    -   -   -
      out   -    -    -   -
  - name: folded
    port: main
    rows: >
      web db
  - name: empty
    port: main
    rows: |

  - name: silent
    port: main
    expect: deny
    rows: |
          web
      web -
"
    ));
}

#[test]
fn claims_about_nobody_and_nothing_are_mistakes() {
    snapshot!(wrong_rest(
        "  svc: {service: {namespace: lba, name: web}}
  own: {service: {namespace: lab, name: web}}
  typo: {pod: {namespace: lab, labels: {app: typo}}}
  deaf: {pod: {namespace: lab, labels: {app: deaf}, ports: {}}}
cases:
  - {name: a, from: wbe, to: apii, port: main, expect: deny}
  - {name: b, from: out, to: api, port: main, expect: deny}
  - {name: c, from: web, to: api, port: mian, expect: deny}
  - {name: d, from: web, to: api, port: 8081, expect: deny}
  - {name: e, from: web, to: api, port: 8080/tcp, expect: deny}
  - {name: f, from: web, to: api, port: 53, expect: deny}
  - {name: g, from: web, to: deaf, port: main, expect: deny}
  - {name: h, from: web, to: out, port: http, expect: deny}
  - {name: i, from: web, to: out, port: 22:22, expect: deny}
  - {name: j, from: web, to: out, port: 80, family: ipv6, expect: deny}
"
    ));
}

#[test]
fn a_pod_can_always_reach_itself() {
    snapshot!(wrong_rest(
        "  twin: {pod: {namespace: lab, labels: {app: web}}}
cases:
  - {name: a, from: web, to: web, port: main, expect: deny}
  - {name: b, from: [web, db], to: [web, db], port: main, expect: deny}
  - {name: c, from: web, to: twin, port: main, expect: allow}
tables:
  - name: t
    port: main
    rows: |
            web db
      web   X   X
      twin  X   X
"
    ));
}

#[test]
fn twins_are_one_pod_to_all() {
    let cases = good_cases(
        "  twin: {pod: {namespace: lab, labels: {app: web}}}
cases: [{name: a, from: web, to: all, port: 8080, expect: deny}]
",
    );
    assert_eq!(ids(&cases), ["a-web-api/8080", "a-web-db/8080"]);
}

#[test]
fn whatever_a_policy_may_tell_apart_is_two_pods() {
    for other in [
        "{namespace: else, labels: {app: web}}",
        "{namespace: lab, labels: {app: web, tier: x}}",
        "{namespace: lab, labels: {app: web}, serviceAccount: other}",
        "{namespace: lab, labels: {app: web}, node: {disk: ssd}}",
        "{namespace: lab, labels: {app: web}, ports: {main: 8080/http}}",
    ] {
        let cases = good_cases(&format!(
            "  twin: {{pod: {other}}}\ncases: [{{name: a, from: web, to: twin, port: 8080, expect: deny}}]"
        ));
        assert_eq!(cases.len(), 1, "{other}");
    }
}

#[test]
fn two_cases_with_one_id_name_both_places() {
    snapshot!(wrong_rest(
        "\
cases:
  - {name: a, from: web, to: api, port: main, expect: deny}
  - {name: a, from: web, to: db, port: main, expect: deny}
  - {name: b, from: web, to: db, port: [8080, 8080/tcp], expect: deny}
  - {name: t-web-db, from: web, to: db, port: main, expect: deny}
  - {name: c, from: web, to: db, port: main, family: ipv4, expect: deny}
  - {name: c, from: web, to: db, port: main, family: ipv6, expect: deny}
  - {name: c, from: web, to: db, port: main, expect: deny}
tables:
  - name: t
    port: main
    rows: |
          db
      web X
"
    ));
}

#[test]
fn only_another_pod_can_vouch_for_a_foreign_destination() {
    let cases =
        good_cases("cases: [{name: a, from: web, to: out, port: 80, expect: deny, reachedBy: db}]");
    assert_eq!(cases[0].reached_by.as_deref(), Some("db"));
    snapshot!(wrong_rest(
        "\
cases:
  - {name: a, from: web, to: out, port: 80, expect: deny, reachedBy: example}
  - {name: b, from: web, to: out, port: 80, expect: deny, reachedBy: web}
  - {name: c, from: web, to: api, port: main, expect: deny, reachedBy: db}
  - {name: d, from: web, to: out, port: 80, expect: deny, reachedBy: bd}
"
    ));
}

#[test]
fn an_http_request_is_one_or_a_mistake() {
    let case = |port: &str, http: &str| {
        format!(
            "cases: [{{name: a, from: web, to: api, port: {port}, expect: allow, http: {http}}}]\n"
        )
    };
    let http =
        good_cases(&case("main", "{path: /a, headers: {x-y: z}}")).remove(0).ask.http.unwrap();
    assert_eq!((http.method.as_str(), http.path.as_str(), http.status.len()), ("GET", "/a", 0));
    snapshot!(wrong_rest(&format!(
        "cases:\n{}{}",
        "  - {name: a, from: web, to: db, port: main, expect: allow, http: {}}\n",
        "  - {name: b, from: web, to: api, port: main, expect: allow, http: {method: get, path: a, \
         host: \"\\n\", headers: {Host: a, 'a b': c, d: 1}, status: [200, 700], sttus: 1}}\n"
    )));
}

#[test]
fn what_is_asked_fits_the_port_and_the_peer() {
    let with_dns = |cases: &str| {
        let dns = "dns: {service: {namespace: kube-system, name: kube-dns}}";
        format!("  {dns}\ncases:\n{cases}")
    };
    let case = |to: &str, rest: &str| {
        format!("  - {{name: c-{to}, from: web, to: {to}, expect: allow, {rest}}}\n")
    };
    let good = [
        case("out", "port: 443/http, tls: {ca: cluster}, http: {status: [401, 403]}"),
        case("dns", "port: 53, protocol: UDP, dns: {name: a.b, type: AAAA, expect: NXDOMAIN}"),
    ]
    .concat();
    let cases = good_cases(&with_dns(&good));
    assert_eq!(cases[0].port.label, "443-http");
    assert_eq!(cases[1].port.label, "53-udp");
    let asked = |rest: &str| good_cases(&with_dns(&case("out", rest))).remove(0).ask;
    let udp = asked("port: 9/udp, udp: {payload: {hex: 00ff}, expect: {base64: AP8=}}").udp;
    assert_eq!(udp.map(|udp| (udp.payload, udp.expect)), Some((vec![0, 255], vec![0, 255])));
    let denied = "port: 443/http, tls: {verify: false}, http: {status: 401}";
    let denied = case("out", denied).replace("allow", "deny");
    let denied = good_cases(&with_dns(&denied)).remove(0);
    assert!(denied.ask.http.is_some_and(|http| http.status.is_empty()), "a denial has no answer");
    let ping = good_cases(&with_dns(&case("out", "protocol: icmp"))).remove(0);
    assert_eq!((ping.port.label.as_str(), ping.port.port), ("icmp", crate::model::Port::ICMP));

    let wrong: String = [
        ("out", "port: 53/udp, tls: {}"),
        ("out", "port: 80/http, dns: {name: a.b}"),
        ("out", "port: 80, udp: {payload: a}"),
        ("out", "port: 53/udp, udp: {payload: a}, dns: {name: a.b}"),
        ("api", "port: main, tls: {}"),
        ("dns", "protocol: icmp"),
        ("out", "protocol: icmp, port: 8"),
        ("out", "port: 80/udp, protocol: TCP"),
        ("out", "port: 80, protocol: stcp"),
        ("out", "port: 443, tls: {serverName: a b, verify: maybe, ca: mine}"),
        ("out", "port: 443, tls: {verify: false, ca: cluster}"),
        ("out", "port: 53/udp, dns: {name: a..b, type: a, expect: NXDOMIAN}"),
        ("out", "port: 9/udp, udp: {payload: {hex: 0}, expect: {base64: '?'}}"),
        ("out", "protocol: tcp"),
    ]
    .into_iter()
    .map(|(to, rest)| case(to, rest))
    .collect();
    snapshot!(wrong_rest(&with_dns(&wrong)));
}
