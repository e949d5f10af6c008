//! A TCP proxy on loopback that breaks things on demand: cuts, silence, delay, and the loss of exactly one reply.
//!
//! To lose the answer to a `COMMIT`: call [`Proxy::cut_reply_after`] with 0, then commit. The request reaches the
//! server, the server acts and answers, and the connection ends before the first byte of the answer gets through.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A running proxy. Dropped, it stops and cuts all connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    switches: watch::Sender<Switches>,
    /// How many bytes of replies may still pass, over all connections; `None`: any number.
    replies: Mutex<Option<u64>>,
    /// Connections cut by `replies`.
    lost: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct Switches {
    target: SocketAddr,
    refuse: bool,
    black_hole: bool,
    delay: Duration,
    /// Connections that began in an earlier generation are over.
    generation: u64,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `target`. Lives on the runtime of the caller.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(target: SocketAddr) -> std::io::Result<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let switches =
            Switches { target, refuse: false, black_hole: false, delay: Duration::ZERO, generation: 0 };
        let shared = Arc::new(Shared {
            switches: watch::Sender::new(switches),
            replies: Mutex::new(None),
            lost: AtomicU64::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Proxy { address, shared, task })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections now. New ones are taken as before.
    pub fn cut(&self) {
        self.shared.switches.send_modify(|switches| switches.generation += 1);
    }

    /// On: new connections are closed at once. Off: as before.
    pub fn refuse(&self, on: bool) {
        self.shared.switches.send_modify(|switches| switches.refuse = on);
    }

    /// On: nothing passes in either direction, connections stay open and new ones are taken. Off: what waited passes.
    pub fn black_hole(&self, on: bool) {
        self.shared.switches.send_modify(|switches| switches.black_hole = on);
    }

    /// Holds every piece of data back for so long, in each direction.
    pub fn delay(&self, delay: Duration) {
        self.shared.switches.send_modify(|switches| switches.delay = delay);
    }

    /// Sends new connections elsewhere, as after a restart of the server on another port.
    pub fn retarget(&self, target: SocketAddr) {
        self.shared.switches.send_modify(|switches| switches.target = target);
    }

    /// Lets `bytes` more bytes of the server's replies through, counted over all connections, and cuts the one that
    /// brings the next byte. Happens once.
    pub fn cut_reply_after(&self, bytes: u64) {
        *self.shared.replies.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
    }

    /// How many connections [`Proxy::cut_reply_after`] has cut.
    #[must_use]
    pub fn lost_replies(&self) -> u64 {
        self.shared.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Ends its tasks when it is dropped, with this one.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(connection(client, Arc::clone(&shared)));
                }
                // Out of descriptors, for example: the next try comes when some are free again.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, until either side ends it or it is cut.
async fn connection(client: TcpStream, shared: Arc<Shared>) {
    let mut switches = shared.switches.subscribe();
    let begun = *switches.borrow_and_update();
    if begun.refuse {
        return;
    }
    let Ok(server) = TcpStream::connect(begun.target).await else { return };
    // Without this small pieces wait for acknowledgements, which nobody asked to test.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let both = async {
        // One direction may end earlier than the other; an error in one ends both.
        tokio::try_join!(
            pump(from_client, to_server, &shared, false),
            pump(from_server, to_client, &shared, true)
        )
    };
    tokio::select! {
        _ = both => {}
        _ = switches.wait_for(|now| now.generation != begun.generation) => {}
    }
}

/// The connection is over.
struct Over;

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    is_reply: bool,
) -> Result<(), Over> {
    let mut switches = shared.switches.subscribe();
    let mut piece = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut piece).await.map_err(|_| Over)?;
        let delay = switches.wait_for(|now| !now.black_hole).await.map_err(|_| Over)?.delay;
        if length == 0 {
            return to.shutdown().await.map_err(|_| Over);
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let allowed = if is_reply { shared.allow(length) } else { length };
        to.write_all(&piece[..allowed]).await.map_err(|_| Over)?;
        if allowed < length {
            return Err(Over);
        }
    }
}

impl Shared {
    /// How many of `length` bytes of a reply may pass. Fewer than `length`: cut.
    fn allow(&self, length: usize) -> usize {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = *replies else { return length };
        match usize::try_from(left) {
            Ok(left) if left < length => {
                *replies = None;
                self.lost.fetch_add(1, Ordering::SeqCst);
                left
            }
            _ => {
                *replies = Some(left - length as u64);
                length
            }
        }
    }
}
