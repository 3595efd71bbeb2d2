//! A connection's streams.

use std::collections::HashMap;

use bytes::Bytes;
use futures::{Stream as Incoming, StreamExt, pin_mut};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Error, Headers,
    frame::{self, CANCEL, Decoder, Frame, PROTOCOL_ERROR, REFUSED},
    headers::Writer,
};

/// Streams of a connection at once.
const MOST: usize = 1024;
/// Pieces of data that wait in a stream until somebody reads.
const WAITING: usize = 16;
/// The longest data frame that is sent.
const PIECE: usize = 32 * 1024;

/// A stream that a client has opened.
#[derive(Debug)]
pub(in crate::sandbox::api) struct Stream {
    /// Its number, which is odd.
    pub id: u32,
    /// What it was opened with.
    pub headers: Headers,
    /// What the client sends, until its end.
    pub reader: mpsc::Receiver<Bytes>,
    /// The way back.
    pub writer: StreamWriter,
    /// The client wants nothing of it any more.
    pub given_up: CancellationToken,
    /// Nobody here does, once this is dropped.
    pub _held: DropGuard,
}

/// Sends on a stream.
#[derive(Clone, Debug)]
pub(in crate::sandbox::api) struct StreamWriter {
    id: u32,
    connection: mpsc::Sender<Bytes>,
}

impl StreamWriter {
    /// Sends bytes; `None` if the connection is gone.
    pub(in crate::sandbox::api) async fn write(&self, bytes: &[u8]) -> Option<()> {
        for piece in bytes.chunks(PIECE) {
            self.connection.send(frame::data(self.id, false, piece)).await.ok()?;
        }
        Some(())
    }

    /// Ends this direction.
    pub(in crate::sandbox::api) async fn end(&self) -> Option<()> {
        self.connection.send(frame::data(self.id, true, &[])).await.ok()
    }
}

/// What is kept of a stream: where its data goes, until its end.
struct Known {
    data: Option<mpsc::Sender<Bytes>>,
    given_up: CancellationToken,
}

/// Reads a connection until it ends, and hands over each stream that `accepts` takes.
/// Frames to send go to `outgoing`.
///
/// # Errors
/// What can't be read. The client has been told.
pub(in crate::sandbox::api) async fn serve(
    incoming: impl Incoming<Item = Bytes>,
    outgoing: mpsc::Sender<Bytes>,
    accepts: impl Fn(&Headers) -> bool,
    opened: mpsc::Sender<Stream>,
) -> Result<(), Error> {
    pin_mut!(incoming);
    let mut session = Session {
        decoder: Decoder::new(),
        writer: Writer::new(),
        streams: HashMap::new(),
        last: 0,
        outgoing,
        opened,
    };
    while let Some(bytes) = incoming.next().await {
        session.decoder.push(&bytes);
        loop {
            match session.decoder.next() {
                Ok(None) => break,
                Ok(Some(frame)) => match session.take(frame, &accepts).await? {
                    Some(()) => {}
                    None => return Ok(()),
                },
                Err(error) => {
                    let last = frame::go_away(session.last, PROTOCOL_ERROR);
                    // The connection ends in any case.
                    let _ = session.outgoing.send(last).await;
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

struct Session {
    decoder: Decoder,
    writer: Writer,
    streams: HashMap<u32, Known>,
    last: u32,
    outgoing: mpsc::Sender<Bytes>,
    opened: mpsc::Sender<Stream>,
}

impl Session {
    /// `None` if the connection is gone.
    async fn take(
        &mut self,
        frame: Frame,
        accepts: &impl Fn(&Headers) -> bool,
    ) -> Result<Option<()>, Error> {
        Ok(match frame {
            Frame::Open { stream, end, headers } => {
                self.open(stream, end, headers, accepts).await?
            }
            Frame::Data { stream, end, bytes } => {
                self.data(stream, end, bytes).await;
                Some(())
            }
            Frame::Reset { stream } => {
                if let Some(known) = self.streams.remove(&stream) {
                    known.given_up.cancel();
                }
                Some(())
            }
            // Odd ones are the client's; the others would be answers.
            Frame::Ping(id) if id % 2 == 1 => self.send(frame::ping(id)).await,
            Frame::Ping(_) | Frame::GoAway => Some(()),
        })
    }

    async fn send(&self, frame: Bytes) -> Option<()> {
        self.outgoing.send(frame).await.ok()
    }

    async fn open(
        &mut self,
        id: u32,
        end: bool,
        headers: Headers,
        accepts: &impl Fn(&Headers) -> bool,
    ) -> Result<Option<()>, Error> {
        if id.is_multiple_of(2) || id <= self.last {
            self.send(frame::reset(id, PROTOCOL_ERROR)).await;
            return Err(Error::Turn(id));
        }
        self.last = id;
        self.streams.retain(|_, known| !known.given_up.is_cancelled());
        if self.streams.len() >= MOST {
            return Ok(self.send(frame::reset(id, REFUSED)).await);
        }
        if !accepts(&headers) {
            return Ok(self.send(frame::reset(id, CANCEL)).await);
        }
        let (sender, reader) = mpsc::channel(WAITING);
        let given_up = CancellationToken::new();
        let known = Known { data: (!end).then_some(sender), given_up: given_up.clone() };
        let writer = StreamWriter { id, connection: self.outgoing.clone() };
        self.streams.insert(id, known);
        let reply = frame::reply(&mut self.writer, id)?;
        if self.send(reply).await.is_none() {
            return Ok(None);
        }
        let held = given_up.clone().drop_guard();
        let stream = Stream { id, headers, reader, writer, given_up, _held: held };
        Ok(self.opened.send(stream).await.ok())
    }

    async fn data(&mut self, stream: u32, end: bool, bytes: Bytes) {
        // What comes for a stream that is over is nobody's any more.
        let Some(known) = self.streams.get_mut(&stream) else { return };
        if let Some(data) = &known.data
            && !bytes.is_empty()
        {
            tokio::select! {
                // Who doesn't read any more has dropped its end.
                _ = data.send(bytes) => {}
                () = known.given_up.cancelled() => {}
            }
        }
        if end {
            known.data = None;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.streams.values().for_each(|known| known.given_up.cancel());
    }
}
