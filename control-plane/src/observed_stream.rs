//! A stream that notes when it breaks.
//!
//! The HTTP library takes a reset of an idle connection for its end. Behind an answer the difference matters: a reset
//! may mean that the answer was thrown away unread.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream and the note about it.
pub struct ObservedStream<S> {
    stream: S,
    is_broken: Arc<AtomicBool>,
}

impl<S> ObservedStream<S> {
    /// Observes a stream. The note stays when the stream is gone.
    pub fn new(stream: S) -> (Self, Arc<AtomicBool>) {
        let is_broken = Arc::new(AtomicBool::new(false));
        (Self { stream, is_broken: Arc::clone(&is_broken) }, is_broken)
    }

    fn note<T>(&self, outcome: &Poll<Result<T>>) {
        let is_break = |error: &Error| {
            let kinds =
                [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::BrokenPipe, ErrorKind::TimedOut];
            kinds.contains(&error.kind())
        };
        if let Poll::Ready(Err(error)) = outcome
            && is_break(error)
        {
            self.is_broken.store(true, Ordering::SeqCst);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ObservedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.note(&outcome);
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ObservedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.note(&outcome);
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
