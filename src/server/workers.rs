//! The threads that serve connections. Each has an event loop of its own, and a connection stays with the one that it was given
//! to: a request is read, answered and written by one thread and wakes no other. A scheduler that shares work between threads
//! wakes a second one for nearly every request that comes alone, which then finds nothing to do.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The threads. None of them: connections are served where they are accepted.
pub(super) struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn start(count: usize) -> std::io::Result<Self> {
        (0..count).map(Worker::start).collect::<Result<_, _>>().map(Self)
    }

    /// Serves `stream` on the thread that has the fewest connections.
    pub(super) fn serve<F, W>(&self, stream: TcpStream, serve: F) -> std::io::Result<()>
    where
        F: FnOnce(TcpStream) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let Some(worker) = self.0.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed)) else {
            tokio::spawn(serve(stream));
            return Ok(());
        };
        // A socket belongs to the event loop that it is made in.
        let stream = stream.into_std()?;
        let held = Held::of(&worker.connections);
        worker.runtime.spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!(error = %error, "connection.not_accepted"),
            }
            drop(held);
        });
        Ok(())
    }

    /// Ends the threads, and with them whatever still runs there.
    pub(super) async fn end(self) {
        let threads: Vec<JoinHandle<()>> = self
            .0
            .into_iter()
            .map(|worker| {
                drop(worker.stop);
                worker.thread
            })
            .collect();
        // A panic there was reported when it happened.
        let _ = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join()))).await;
    }
}

impl Worker {
    fn start(number: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(format!("kalends-serve-{number}")).spawn(move || {
            let _ = runtime.block_on(stopped);
            // What waits for something that blocks, a password's hash for example, is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, connections: Arc::default(), stop, thread })
    }
}

/// A connection, counted for as long as it lasts.
struct Held(Arc<AtomicUsize>);

impl Held {
    fn of(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
