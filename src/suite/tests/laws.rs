//! Laws that hold for any input.

use proptest::prelude::*;

use super::*;

const GOOD: [&str; 4] = [
    include_str!("../../../suites/shop.yaml"),
    include_str!("../../../suites/shop/policies.yaml"),
    "\
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: t, description: >
  folded
  text}
defaults: {within: 30s, ports: {main: 8080/tcp}}
setup: {namespaces: {lab: {name: real}, other: }, manifests: [{path: p.yaml}, {inline: []}]}
peers:
  \"a\": &a {pod: {namespace: lab, labels: {<<: {x: y}, app: \"ä\"}}}
  b: {pod: {namespace: other, node: {a: b}}}
  c: {host: 'example.org'}
  d: {ip: 'fd00::1'}
tables:
  - name: x
    port: [main, 8080]
    rows: |
         a b c
      a  - X .
      b  . - .
",
    super::steps::WHOLE,
];

/// Reads a text as a suite and as a manifest, and renders what is wrong with it.
fn swallow(text: &str) {
    let (_, mistakes) = parse("t.yaml", text, &|_| Ok(text.to_owned()));
    for mistake in &mistakes {
        let place = mistake.location();
        assert!(place.line >= 1 && place.column >= 1, "{place} of {text:?}");
    }
    let rendered = Mistakes::new(mistakes).render(true);
    assert!(rendered.is_empty() || rendered.ends_with('\n'));
    let suite = GOOD[2].replace("[]", "{}");
    let _ = parse("t.yaml", &suite, &|_| Ok(text.to_owned()));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        swallow(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_yaml_like_text_is_read_without_panic(
        text in "([-:{}\\[\\],&*!|>'\"#%@`?~<. \t\r\n0-9a-zäé日]|rows: \\||- |: |\n  ){0,120}",
    ) {
        swallow(&text);
    }

    #[test]
    fn damaged_suites_are_read_without_panic(
        which in 0..GOOD.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..6),
    ) {
        let mut bytes = GOOD[which].as_bytes().to_vec();
        for (place, kind, value) in damage {
            if bytes.is_empty() { break; }
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] ^= 1 << (value % 8),
                1 => bytes.insert(at, b" -:{}[]|\n\t&*'\"#"[usize::from(value) % 15]),
                2 => { bytes.remove(at); }
                _ => {
                    let start = bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
                    let end = bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| at + n + 1);
                    bytes.drain(start..end);
                }
            }
        }
        swallow(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn the_good_suites_are_good() {
    let (suites, mistakes) = parse("suites/shop.yaml", GOOD[0], &|path| {
        assert_eq!(path, "suites/shop/policies.yaml");
        Ok(GOOD[1].to_owned())
    });
    assert_eq!((suites.len(), mistakes.len()), (1, 0));
}
