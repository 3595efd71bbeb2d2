//! The suites that netproof ships, and those of its design.

use super::*;

#[test]
fn the_shop_loads_and_says_what_it_says() {
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/suites/shop.yaml");
    let suites = crate::suite::load(&[path.into()])
        .unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)));
    let shop = &suites[0];
    assert_eq!(shop.within, Duration::from_secs(10));
    let cases: String = shop
        .cases
        .iter()
        .map(|case| {
            format!(
                "{:28} {:8} -> {:11} {:7} {:9} {}\n",
                case.name,
                case.from,
                case.to,
                case.port.label,
                case.port.port.to_string(),
                case.expect,
            )
        })
        .collect();
    snapshot!(cases);
    let kinds: Vec<String> = shop
        .setup
        .manifests
        .iter()
        .flat_map(|manifest| &manifest.objects)
        .map(|object| {
            format!("{} {}", object["kind"], object["metadata"]["namespace"]).replace('"', "")
        })
        .collect();
    assert!(
        kinds.iter().all(|kind| kind.ends_with(" shop")),
        "every object goes to the only namespace: {kinds:?}"
    );
}

#[test]
fn the_design_s_suites_load() {
    let design = "\
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: shop}
defaults: {within: 30s, ports: {main: 8080/tcp}}
setup:
  namespaces: {shop: {labels: {team: a}}}
  manifests: [{path: shop.yaml}]
peers:
  web: {pod: {namespace: shop, labels: {app: web}}}
  api: {pod: {namespace: shop, labels: {app: api}}}
cases: [{name: web-api, from: web, to: api, port: main, expect: allow}]
tables:
  - name: all
    port: main
    rows: |
          web api
      web  -   .
      api  X   -
---
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: isolate}
setup: {namespaces: {lab: {}}}
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}, ports: {main: 8080/tcp}}}
steps:
  - name: deny
    apply: [{path: deny.yaml}]
    cases: [{name: closed, from: a, to: b, port: main, expect: deny}]
---
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: smoke}
peers:
  tester: {pod: {namespace: staging, labels: {app: tester}}}
  metadata: {ip: 169.254.169.254}
cases: [{name: no-metadata, from: tester, to: metadata, port: 80, expect: deny}]
";
    let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}";
    let (suites, mistakes) = parse("t.yaml", design, &|path| {
        assert!(["shop.yaml", "deny.yaml"].contains(&path), "read beside the suite: {path}");
        Ok(manifest.to_owned())
    });
    let names: Vec<&str> = suites.iter().map(|suite| suite.name.as_str()).collect();
    assert!(mistakes.is_empty(), "{}", Mistakes::new(mistakes).render(false));
    assert_eq!(names, ["shop", "isolate", "smoke"]);
    assert_eq!(suites[1].steps.len(), 1);
    assert_eq!(suites[1].steps[0].cases[0].name, "closed");
    let cases: Vec<(&str, Connectivity)> =
        suites[0].cases.iter().map(|case| (case.name.as_str(), case.expect)).collect();
    assert_eq!(
        cases,
        [
            ("web-api", Connectivity::Allowed),
            ("all-web-api", Connectivity::Allowed),
            ("all-api-web", Connectivity::Blocked),
        ]
    );
    assert_eq!(suites[0].cases[2].location.to_string(), "t.yaml:18:12", "a cell's own place");
    assert_eq!(suites[1].within, Duration::from_secs(30), "the default");
}

#[test]
fn what_the_reference_shows_is_read_as_it_says() {
    let page = include_str!("../../../docs/suites.md");
    let mut blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let whole = blocks.next().expect("the reference begins with a whole suite");
    let object = "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: shop}}";
    for block in std::iter::once("").chain(blocks) {
        // A fragment takes the place of what the whole suite has under the same key.
        let key = block.split_inclusive(':').next().unwrap_or_default();
        let text = match whole.split_once(&format!("\n{key}")).filter(|_| !key.is_empty()) {
            None => format!("{whole}{block}"),
            Some((before, rest)) => {
                let rest = rest.split_inclusive('\n').skip(1);
                let after: String = rest.skip_while(|line| line.starts_with(' ')).collect();
                format!("{before}\n{block}{after}")
            }
        };
        let (suites, mistakes) = parse("t.yaml", &text, &|_| Ok(object.to_owned()));
        let mistakes = Mistakes::new(mistakes);
        assert!(mistakes.is_empty(), "{block}\n{}", mistakes.render(false));
        assert_eq!(suites.len(), 1, "{block}");
    }
}
