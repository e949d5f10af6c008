//! Free ports on 127.0.0.1.

use std::net::TcpListener;

/// `count` different ports that nobody listens on.
///
/// They lie below the range from which systems take the ports of outgoing connections: a server that is down for a
/// while could else lose its port to a client that tries to reach it.
///
/// # Errors
/// Ten thousand ports are taken.
pub fn free(count: usize) -> std::io::Result<Vec<u16>> {
    let mut held = Vec::new();
    for _ in 0..1000 {
        if held.len() == count {
            return held.iter().map(|listener: &TcpListener| Ok(listener.local_addr()?.port())).collect();
        }
        let [one, two, ..] = uuid::Uuid::new_v4().into_bytes();
        // Held until all are found, so that they differ.
        held.extend(TcpListener::bind(("127.0.0.1", 20_000 + u16::from_be_bytes([one, two]) % 10_000)));
    }
    Err(std::io::Error::from(std::io::ErrorKind::AddrInUse))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_ports_differ_and_can_be_listened_on() {
        let ports = super::free(20).expect("twenty free ports");
        let listeners: Vec<_> = ports
            .iter()
            .map(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).expect("free"))
            .collect();
        assert_eq!(listeners.len(), 20);
    }
}
