use proptest::prelude::*;
use serde_json::json;

use super::*;

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("a short field");
    [&[number << 3 | 2, length], bytes].concat()
}

fn envelope(version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
    let meta = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field(1, &meta), field(2, object)].concat()
}

#[test]
fn an_object_is_read_by_its_numbers() {
    let entry = [field(1, b"a"), field(2, b"b")].concat();
    let object = [field(1, &field(1, b"map")), field(2, &entry)].concat();
    assert_eq!(
        read(&envelope("v1", "ConfigMap", &object)).expect("a map"),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"},
            "data": {"a": "b"},
        })
    );
}

#[test]
fn options_of_a_deletion_come_in_the_version_of_what_is_deleted() {
    for version in ["v1", "policy/v1", "apps/v1"] {
        let options = read(&envelope(
            version,
            "DeleteOptions",
            &[8, 5, 34, 10, b'F', b'o', b'r', b'e', b'g', b'r', b'o', b'u', b'n', b'd'],
        ));
        let options = options.expect("options");
        assert_eq!(options["gracePeriodSeconds"], 5, "{version}");
        assert_eq!(options["propagationPolicy"], "Foreground", "{version}");
    }
}

#[test]
fn parts_belong_to_the_type_that_they_stand_in() {
    // A probe: a handler with `tcpSocket: {port: 80}`, and a period of 5.
    let port = [8, 0, 16, 80];
    let socket = field(1, &port);
    let probe = [field(1, &field(3, &socket)), vec![32, 5]].concat();
    let container = [field(1, b"a"), field(11, &probe)].concat();
    let pod = field(2, &field(2, &container));
    let read = read(&envelope("v1", "Pod", &pod)).expect("a pod");
    assert_eq!(
        read["spec"]["containers"][0],
        json!({"name": "a", "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 5}})
    );
}

#[test]
fn every_number_names_a_field_of_its_type() {
    for (name, numbers) in NUMBERS.iter() {
        let Some(Node::Struct(node)) = builtin().types.get(*name) else { continue };
        for named in numbers.values() {
            match named {
                Named::Field(field) => {
                    let known =
                        node.fields.contains_key(*field) || ["apiVersion", "kind"].contains(field);
                    assert!(known, "{name}.{field}");
                }
                Named::Part(part) => assert!(NUMBERS.contains_key(part), "{part}"),
            }
        }
    }
}

#[test]
fn what_is_no_such_body_is_refused() {
    for bytes in [
        &b""[..],
        b"{}",
        b"k8s\0\x0a\xff",
        b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        &envelope("v1", "Nothing", b""),
    ] {
        assert!(read(bytes).is_err(), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn no_body_makes_the_reader_panic(object in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read(&envelope("v1", "Pod", &object));
    }
}
