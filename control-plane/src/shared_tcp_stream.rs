//! A TCP connection that the HTTP library owns and whose other end can be asked about meanwhile.
//!
//! The library notices that a client hung up when its turn comes. Whether a request repeats one whose client hung up a
//! moment before must be known earlier: the kernel knows it as soon as the packet is there.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{Shutdown, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection.
pub struct SharedTcpStream(Arc<TcpStream>);

/// A look at a connection. Does not keep it open.
#[derive(Clone)]
pub struct PeerWatch(Weak<TcpStream>);

/// What the kernel knows of the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// Nothing speaks against its being there.
    There,
    /// It sends no more, and may still read.
    Ended,
    /// It is gone, and reads no more.
    Broken,
}

impl SharedTcpStream {
    /// Shares a connection.
    pub fn new(stream: TcpStream) -> Self {
        Self(Arc::new(stream))
    }

    /// A look at it.
    pub fn peer_watch(&self) -> PeerWatch {
        PeerWatch(Arc::downgrade(&self.0))
    }
}

impl PeerWatch {
    /// What the kernel knows now; none if this end has closed the connection.
    pub fn look(&self) -> Option<PeerState> {
        let stream = self.0.upgrade()?;
        let mut fds = [PollFd::new(&*stream, PollFlags::RDHUP)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut fds, Some(&at_once)).is_err() {
            // Nothing is known of it.
            return Some(PeerState::There);
        }
        let seen = fds[0].revents();
        Some(match seen {
            _ if seen.contains(PollFlags::ERR) => PeerState::Broken,
            _ if seen.intersects(PollFlags::RDHUP | PollFlags::HUP) => PeerState::Ended,
            _ => PeerState::There,
        })
    }
}

impl AsyncRead for SharedTcpStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl SharedTcpStream {
    fn poll_try(&self, context: &mut Context<'_>, write: impl Fn(&TcpStream) -> Result<usize>) -> Poll<Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match write(&self.0) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl AsyncWrite for SharedTcpStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.poll_try(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.poll_try(context, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        // The kernel has it.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(shutdown(&*self.0, Shutdown::Write).map_err(Error::from))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn connect() -> (TcpStream, SharedTcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it connects");
        let (server, _) = listener.accept().await.expect("it is accepted");
        (client, SharedTcpStream::new(server))
    }

    #[tokio::test]
    async fn that_a_client_hung_up_is_seen_before_anybody_reads() {
        let (client, server) = connect().await;
        let watch = server.peer_watch();
        assert_eq!(watch.look(), Some(PeerState::There));
        client.set_zero_linger().expect("the option exists");
        drop(client);
        assert_eq!(watch.look(), Some(PeerState::Broken));
        drop(server);
        assert_eq!(watch.look(), None);
    }

    #[tokio::test]
    async fn a_client_that_ends_cleanly_is_told_from_one_that_breaks_off() {
        let (client, server) = connect().await;
        drop(client);
        assert_eq!(server.peer_watch().look(), Some(PeerState::Ended));
    }
}
