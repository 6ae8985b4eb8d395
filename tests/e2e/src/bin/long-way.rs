//! A long way for UDP: passes datagrams on to a server and back, late, and loses some of them. For machines whose kernel has no
//! netem.
//!
//! `long-way LISTEN SERVER MILLISECONDS LOST-OF-A-THOUSAND SEED`: what comes to `LISTEN` goes to `SERVER` from a socket of its
//! own for each sender; each of the two directions is that long, and loses that much, decided by the seed.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The largest datagram.
const LARGEST: usize = 65_536;

/// A datagram on its way.
struct Late {
    due: Instant,
    bytes: Vec<u8>,
    from: Arc<UdpSocket>,
    to: SocketAddr,
}

/// How long the way is, and what gets lost on it.
#[derive(Clone, Copy)]
struct Way {
    delay: Duration,
    lost: u64,
}

/// One direction.
struct Direction {
    way: Way,
    state: u64,
    queue: Sender<Late>,
}

impl Direction {
    fn new(way: Way, seed: u64) -> Self {
        let (queue, late) = channel();
        thread::spawn(move || deliver(&late));
        Self {
            way,
            // Any state but zero is a good one.
            state: seed | 1,
            queue,
        }
    }

    fn pass(&mut self, bytes: &[u8], from: &Arc<UdpSocket>, to: SocketAddr) {
        // Xorshift: the same seed loses the same datagrams.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        if (self.state >> 11) % 1000 < self.way.lost {
            return;
        }
        let late = Late {
            due: Instant::now() + self.way.delay,
            bytes: bytes.to_vec(),
            from: Arc::clone(from),
            to,
        };
        let _ = self.queue.send(late);
    }
}

/// All are equally late, so they stay in their order.
fn deliver(late: &Receiver<Late>) {
    while let Ok(datagram) = late.recv() {
        thread::sleep(datagram.due.saturating_duration_since(Instant::now()));
        // What does not get through is lost, as on any way.
        let _ = datagram.from.send_to(&datagram.bytes, datagram.to);
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, server, delay, lost, seed] = arguments.as_slice() else {
        return Err(io::Error::other(
            "long-way LISTEN SERVER MILLISECONDS LOST-OF-A-THOUSAND SEED",
        ));
    };
    let number = |text: &String| text.parse::<u64>().map_err(io::Error::other);
    let server: SocketAddr = server.parse().map_err(io::Error::other)?;
    let way = Way {
        delay: Duration::from_millis(number(delay)?),
        lost: number(lost)?,
    };
    let seed = number(seed)?;
    let here = Arc::new(UdpSocket::bind(listen)?);
    eprintln!("the way is open");
    let mut there = Direction::new(way, seed);
    let mut senders: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut bytes = vec![0; LARGEST];
    loop {
        // A datagram that bounced is told here as an error of the socket.
        let Ok((length, sender)) = here.recv_from(&mut bytes) else {
            continue;
        };
        let socket = match senders.get(&sender) {
            Some(socket) => Arc::clone(socket),
            None => {
                let socket = Arc::new(UdpSocket::bind("0.0.0.0:0")?);
                let back = Direction::new(way, seed.rotate_left(32) ^ senders.len() as u64);
                let (from, here) = (Arc::clone(&socket), Arc::clone(&here));
                thread::spawn(move || answer(&from, &here, sender, back));
                senders.insert(sender, Arc::clone(&socket));
                socket
            }
        };
        there.pass(&bytes[..length], &socket, server);
    }
}

fn answer(socket: &UdpSocket, here: &Arc<UdpSocket>, to: SocketAddr, mut back: Direction) {
    let mut bytes = vec![0; LARGEST];
    loop {
        if let Ok(length) = socket.recv(&mut bytes) {
            back.pass(&bytes[..length], here, to);
        }
    }
}
