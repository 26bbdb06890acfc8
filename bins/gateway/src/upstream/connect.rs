//! From a URL to a stream of bytes.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::HeaderValue;
use lakehouse_common::StartError;
use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Url;

/// How to reach a service.
pub(super) struct Connector {
    /// Host and port, as the resolver takes them.
    host: String,
    port: u16,
    /// `Host`: with the port only where it is not the scheme's own.
    header: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}{}", self.host, self.port, if self.tls.is_some() { " (tls)" } else { "" })
    }
}

impl Connector {
    pub(super) fn new(name: &str, url: &Url) -> Result<Self, StartError> {
        let wrong = |what: &str| StartError::new(format!("read {name}'s URL `{url}`: {what}"));
        let host = url.host_str().ok_or_else(|| wrong("no host"))?;
        let port = url.port_or_known_default().ok_or_else(|| wrong("no port"))?;
        let header = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let header = HeaderValue::from_str(&header).map_err(|_| wrong("the host can't stand in a header"))?;
        // An IPv6 address has brackets in a URL, and none elsewhere.
        let host = host.trim_matches(['[', ']']).to_owned();
        let tls = if url.scheme() == "https" {
            let server = ServerName::try_from(host.clone()).map_err(|_| wrong("the host can't be in a certificate"))?;
            let client = tls_client().map_err(|error| wrong(&format!("set up TLS: {error}")))?;
            Some((TlsConnector::from(Arc::new(client)), server))
        } else {
            None
        };
        Ok(Self { host, port, header, tls })
    }

    pub(super) const fn host(&self) -> &HeaderValue {
        &self.header
    }

    /// Connects, and shakes hands where that is asked for, within `limit`.
    pub(super) async fn connect(&self, limit: Duration) -> io::Result<Io> {
        let connecting = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            // A request is written whole; waiting for more of it would only delay it.
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(match &self.tls {
                None => Stream::Plain(stream),
                Some((tls, server)) => Stream::Tls(Box::new(tls.connect(server.clone(), stream).await?)),
            })
        };
        let stream = tokio::time::timeout(limit, connecting).await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(Io { stream, deaf: false })
    }
}

fn tls_client() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The stream to a service.
///
/// A service that refuses an upload (too large, no room, no right) answers and closes while the
/// caller is still sending. Writing then fails at once, but the answer lies there to be read; hyper
/// gives a connection up at the first failed write, and the caller would get a 502 instead of the
/// 413. So once the other side has stopped listening, what is written goes nowhere, and reading
/// decides: it yields the answer, or the same error.
#[derive(Debug)]
pub(super) struct Io {
    stream: Stream,
    /// The other side no longer reads.
    deaf: bool,
}

impl Io {
    fn written(&mut self, result: Poll<io::Result<usize>>, offered: usize) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Err(error)) if is_closed_by_peer(&error) => {
                self.deaf = true;
                Poll::Ready(Ok(offered))
            }
            other => other,
        }
    }
}

fn is_closed_by_peer(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(buf.len()));
        }
        let result = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        self.written(result, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = bufs.iter().map(|buf| buf.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(offered));
        }
        let result = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        };
        self.written(result, offered)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn the_host_header_has_a_port_only_where_it_is_needed() {
        for (url, header, host, port) in [
            ("http://127.0.0.1:3211", "127.0.0.1:3211", "127.0.0.1", 3211),
            ("http://storage.local/base", "storage.local", "storage.local", 80),
            ("http://[::1]:3211", "[::1]:3211", "::1", 3211),
        ] {
            let connector = Connector::new("storaged", &Url::parse(url).unwrap()).unwrap();
            assert_eq!(connector.header, header);
            assert_eq!((connector.host.as_str(), connector.port), (host, port));
        }
    }

    #[tokio::test]
    async fn an_answer_is_read_although_the_service_stopped_listening() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let connector = Connector::new("storaged", &url).unwrap();
        let (io, accepted) = tokio::join!(connector.connect(Duration::from_secs(60)), listener.accept());
        let (mut io, (mut service, _)) = (io.unwrap(), accepted.unwrap());
        io.write_all(b"some of a large body").await.unwrap();
        service.write_all(b"no").await.unwrap();
        drop(service);
        let rest = vec![0_u8; 64 << 10];
        // Enough to run into the reset whenever that arrives.
        while !io.deaf {
            io.write_all(&rest).await.unwrap();
        }
        io.write_all(&rest).await.unwrap();
        let mut answer = [0_u8; 2];
        io.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"no");
    }

    #[tokio::test]
    async fn a_plain_server_is_no_tls_server() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
        // A machine without root certificates can't set TLS up at all; it says so at the start.
        let Ok(connector) = Connector::new("chat", &url) else { return };
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        };
        let (io, ()) = tokio::join!(connector.connect(Duration::from_secs(60)), server);
        assert!(io.is_err());
    }
}
