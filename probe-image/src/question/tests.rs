//! Questions and answers, and who knows the key.

use super::*;

fn key(byte: u8) -> Key {
    Key::from_bytes([byte; 32])
}

fn saw() -> SocketAddr {
    "10.0.0.1:20000".parse().unwrap()
}

#[test]
fn a_question_survives_every_framing() {
    let question = key(1).question(Nonce::from_bytes([7; 16]));
    let headers =
        KeyedQuestion::from_headers(&question.nonce.to_string(), &question.tag()).unwrap();
    for (read, framing) in [
        (KeyedQuestion::parse(question.line().as_bytes()).unwrap(), "line"),
        (KeyedQuestion::parse(&question.datagram()).unwrap(), "datagram"),
        (headers, "headers"),
    ] {
        assert_eq!(read, question, "{framing}");
        assert!(key(1).asked(&read), "{framing}");
        assert!(!key(2).asked(&read), "{framing}: another run's key");
    }
}

#[test]
fn only_the_key_and_the_nonce_make_an_answer() {
    let nonce = Nonce::from_bytes([7; 16]);
    let answer = key(1).answer(nonce, "shop/web", saw());
    let read = KeyedAnswer::parse(answer.json().as_bytes()).unwrap();
    assert!(key(1).answered(nonce, &read));
    assert!(!key(2).answered(nonce, &read), "another key");
    assert!(!key(1).answered(Nonce::from_bytes([8; 16]), &read), "another nonce");
    let renamed = KeyedAnswer { identity: "shop/api".into(), ..read.clone() };
    assert!(!key(1).answered(nonce, &renamed), "another identity");
    let moved = KeyedAnswer { saw: "10.0.0.2:20000".parse().unwrap(), ..read };
    assert!(!key(1).answered(nonce, &moved), "another address");
}

#[test]
fn an_echo_is_no_answer() {
    let question = key(1).question(Nonce::from_bytes([7; 16]));
    assert_eq!(KeyedAnswer::parse(question.line().as_bytes()), None);
    assert_eq!(KeyedAnswer::parse(&question.datagram()), None);
}

#[test]
fn an_answer_is_never_longer_than_its_question() {
    let longest = "x".repeat(IDENTITY_LENGTH);
    check_identity(&longest).unwrap();
    let saw = "[2001:db8:1111:2222:3333:4444:5555:6666]:60000".parse().unwrap();
    let answer = key(1).answer(Nonce::from_bytes([7; 16]), &longest, saw).json();
    assert!(answer.len() <= DATAGRAM_LENGTH, "{} bytes", answer.len());
}

#[test]
fn text_that_is_no_key_is_refused() {
    for (text, why) in [
        ("", "empty"),
        ("ab", "short"),
        (&"g".repeat(64), "no hex digit"),
        (&"é".repeat(32), "right length, not ASCII"),
        (&"a".repeat(65), "long"),
    ] {
        assert_eq!(text.parse::<Key>(), Err(Error::NotHex { what: "a key", digits: 64 }), "{why}");
    }
    let text = "0f".repeat(32);
    assert_eq!(text.parse::<Key>().unwrap().to_string(), text);
    assert_eq!(format!("{:?}", key(1)), "Key(…)", "a key does not leak into logs");
}

#[test]
fn an_identity_needs_no_escaping() {
    for (identity, good) in [
        ("shop/web", true),
        ("", false),
        ("a\"b", false),
        ("a\nb", false),
        ("a\\b", false),
        ("ü", false),
    ] {
        assert_eq!(check_identity(identity).is_ok(), good, "{identity:?}");
    }
}
