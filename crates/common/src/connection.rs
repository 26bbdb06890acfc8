//! A connection that does not wait for ever on a caller who takes nothing.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

/// Most bytes that wait in the kernel to be sent. A full socket counts as writable again only once
/// a part of them is gone: as it is, a third of a send buffer of up to 4 MiB, which a steady reader
/// of less than 25 KB/s does not take within a minute; with this, half of it.
const MAX_UNSENT: u32 = 128 << 10;

/// A TCP stream whose writes fail once the peer has taken next to nothing for `limit`. hyper bounds
/// the reading of headers, and the body layer that of bodies; nobody else bounds writing.
pub(crate) struct Connection {
    stream: TcpStream,
    limit: Duration,
    /// Set while a write waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, limit: Duration) -> Self {
        if let Err(error) = SockRef::from(&stream).set_tcp_notsent_lowat(MAX_UNSENT) {
            tracing::debug!(%error, "set TCP_NOTSENT_LOWAT");
        }
        Self { stream, limit, deadline: None }
    }

    fn bounded<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.deadline = None;
            return result;
        }
        let limit = self.limit;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
        debug_assert!(deadline.deadline() <= Instant::now() + limit);
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller takes no bytes")))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bounded(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bounded(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpSocket},
        time::interval,
    };

    use super::*;

    /// A peer, and the connection that serves it. The peer's own buffer is kept small, so that it
    /// is how fast it reads, and not its kernel, that says how much is taken.
    async fn pair(limit: Duration) -> (TcpStream, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpSocket::new_v4().unwrap();
        peer.set_recv_buffer_size(128 << 10).unwrap();
        let (peer, accepted) = tokio::join!(peer.connect(listener.local_addr().unwrap()), listener.accept());
        (peer.unwrap(), Connection::new(accepted.unwrap().0, limit))
    }

    /// Writes until it fails.
    async fn write_endlessly(mut connection: Connection) -> io::ErrorKind {
        let endless = vec![0_u8; 1 << 20];
        loop {
            if let Err(error) = connection.write_all(&endless).await {
                return error.kind();
            }
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (_silent, connection) = pair(Duration::from_millis(50)).await;
        assert_eq!(write_endlessly(connection).await, io::ErrorKind::TimedOut);
    }

    /// A third of the send buffer is gone only after more than a second at this pace.
    #[tokio::test]
    async fn a_slow_but_steady_reader_gets_its_bytes() {
        let (mut peer, connection) = pair(Duration::from_secs(1)).await;
        let writing = tokio::spawn(write_endlessly(connection));
        let mut pace = interval(Duration::from_millis(40));
        let mut some = vec![0_u8; 16 << 10];
        for _ in 0..125 {
            pace.tick().await;
            peer.read_exact(&mut some).await.unwrap();
        }
        drop(peer);
        assert_ne!(writing.await.unwrap(), io::ErrorKind::TimedOut);
    }
}
