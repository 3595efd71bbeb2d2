use bytes::Bytes;
use futures::stream;
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::{
    Error, Headers,
    frame::{self, Decoder, Frame},
    headers::Writer,
    serve,
};

/// What a decoder makes of bytes that come in pieces of a length; data put together again.
fn frames(bytes: &[u8], piece: usize) -> (Vec<Frame>, Option<Error>) {
    let (mut decoder, mut frames) = (Decoder::new(), Vec::<Frame>::new());
    for piece in bytes.chunks(piece.max(1)) {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(None) => break,
                Ok(Some(Frame::Data { stream, end, bytes })) => match frames.last_mut() {
                    Some(Frame::Data { stream: last, end: over, bytes: before })
                        if *last == stream && !*over =>
                    {
                        *before = [&before[..], &bytes].concat().into();
                        *over = end;
                    }
                    _ => frames.push(Frame::Data { stream, end, bytes }),
                },
                Ok(Some(frame)) => frames.push(frame),
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn opening(writer: &mut Writer, id: u32, port: &str) -> Bytes {
    let headers = Headers::new(&[("port", port), ("streamType", "data")]);
    frame::open(writer, id, &headers).expect("written")
}

fn conversation() -> Vec<u8> {
    let mut writer = Writer::new();
    [
        opening(&mut writer, 1, "80"),
        opening(&mut writer, 3, "8080"),
        frame::data(1, false, &[7; 5000]),
        frame::ping(1),
        frame::data(3, true, b"end"),
        frame::reset(1, 5),
        frame::go_away(0, 0),
    ]
    .concat()
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), piece in 1_usize..50) {
        frames(&bytes, piece);
    }

    #[test]
    fn nor_does_a_conversation_with_a_wrong_byte(at in 0_usize..6000, byte: u8, piece in 1_usize..700) {
        let mut bytes = conversation();
        let at = at % bytes.len();
        bytes[at] = byte;
        frames(&bytes, piece);
    }

    #[test]
    fn frames_are_the_same_however_they_come(piece in 1_usize..6000) {
        let bytes = conversation();
        prop_assert_eq!(frames(&bytes, piece), frames(&bytes, bytes.len()));
    }
}

#[test]
fn what_is_written_is_read() {
    let (frames, error) = frames(&conversation(), 6000);
    assert_eq!(error, None);
    let headers = |port| Headers::new(&[("port", port), ("streamType", "data")]);
    let expected = [
        Frame::Open { stream: 1, end: false, headers: headers("80") },
        Frame::Open { stream: 3, end: false, headers: headers("8080") },
        Frame::Data { stream: 1, end: false, bytes: vec![7; 5000].into() },
        Frame::Ping(1),
        Frame::Data { stream: 3, end: true, bytes: Bytes::from_static(b"end") },
        Frame::Reset { stream: 1 },
        Frame::GoAway,
    ];
    assert_eq!(frames, expected);
}

#[test]
fn what_is_no_frame_of_this_version_is_refused() {
    let long = [0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff];
    for (message, bytes, expected) in [
        ("version 2", &[0x80, 2, 0, 1, 0, 0, 0, 0][..], Error::Version(2)),
        ("16 MiB of headers", &long, Error::TooLong(0xff_ffff)),
        ("a stream without a number", &[0x80, 3, 0, 1, 0, 0, 0, 2, 0, 0], Error::Short),
        ("a ping without one", &[0x80, 3, 0, 6, 0, 0, 0, 0], Error::Short),
        ("headers", &[0x80, 3, 0, 2, 0, 0, 0, 6, 0, 0, 0, 1, 9, 9], Error::Headers),
    ] {
        assert_eq!(frames(bytes, 100), (Vec::new(), Some(expected)), "{message}");
    }
}

#[tokio::test]
async fn a_session_takes_streams_answers_pings_and_gives_data_on() {
    let mut writer = Writer::new();
    let said = [
        opening(&mut writer, 1, "80"),
        opening(&mut writer, 3, "0"),
        frame::ping(1),
        frame::data(1, false, b"hello"),
        frame::data(9, false, b"nobody's"),
        frame::data(1, true, b""),
    ]
    .map(Bytes::from);
    let (outgoing, mut sent) = mpsc::channel(64);
    let (opened, mut streams) = mpsc::channel(64);
    let accepts = |headers: &Headers| headers.text("Port") != "0";
    let ended = serve(stream::iter(said), outgoing, accepts, opened).await;
    assert_eq!(ended, Ok(()));
    let mut taken = streams.recv().await.expect("the first stream");
    assert_eq!((taken.id, taken.headers.text("streamtype")), (1, "data"));
    assert_eq!(taken.reader.recv().await, Some(Bytes::from_static(b"hello")));
    assert_eq!(taken.reader.recv().await, None, "its end");
    assert!(taken.given_up.is_cancelled(), "the connection is over");
    taken.writer.write(b"back").await.expect("sent");
    taken.writer.end().await.expect("sent");
    assert!(streams.recv().await.is_none(), "the second was refused");
    drop(taken);
    let mut bytes = Vec::new();
    while let Some(frame) = sent.recv().await {
        bytes.extend_from_slice(&frame);
    }
    // The reply to the first stream has nothing that one would want to know.
    assert_eq!(bytes[..4], [0x80, 3, 0, 2]);
    let expected = [
        Frame::Reset { stream: 3 },
        Frame::Ping(1),
        Frame::Data { stream: 1, end: true, bytes: Bytes::from_static(b"back") },
    ];
    assert_eq!(frames(&bytes, 9), (expected.into(), None));
}

#[tokio::test]
async fn a_stream_out_of_turn_ends_the_connection() {
    for (message, ids, wrong) in
        [("even", &[2][..], 2), ("again", &[1, 1], 1), ("backwards", &[5, 3], 3)]
    {
        let mut writer = Writer::new();
        let said: Vec<_> = ids.iter().map(|&id| opening(&mut writer, id, "80")).collect();
        let (outgoing, _sent) = mpsc::channel(64);
        let (opened, _streams) = mpsc::channel(64);
        let ended = serve(stream::iter(said), outgoing, |_| true, opened).await;
        assert_eq!(ended, Err(Error::Turn(wrong)), "{message}");
    }
}
