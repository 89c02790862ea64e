//! How the network is: the same for all connections, told to them by a watch.

/// How the network is. Connections are numbered as they come.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// On connections with a smaller number nothing arrives.
    pub silent_below: u64,
    /// On connections with a smaller number nothing will arrive any more.
    pub dead_below: u64,
    /// Nobody is connected.
    pub is_deaf: bool,
    /// Connections that come are closed at once.
    pub is_away: bool,
    /// Connections with a smaller number are closed, but for the one that has brought it about.
    pub cut_below: u64,
    /// The number of that one.
    pub spared: Option<u64>,
}

impl Network {
    /// Returns whether what is sent on a connection arrives.
    pub fn carries(&self, id: u64) -> bool {
        id >= self.silent_below && id >= self.dead_below
    }

    /// Returns whether a connection is closed.
    pub fn cuts(&self, id: u64) -> bool {
        id < self.cut_below && self.spared != Some(id)
    }
}
