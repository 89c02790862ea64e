//! Where a user sits who calls through a proxy or a product's backend.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Most addresses of the header that are looked at.
const HOPS_MAX: usize = 16;
/// Bits of an IPv6 address that tell one network from another: whoever has one has all of its addresses.
const V6_BITS: u32 = 64;

/// Of whom it is believed where a user sits.
#[derive(Clone, Debug)]
pub struct Sources {
    trusted: Vec<IpNet>,
}

impl Sources {
    /// Believes these peers, and operators.
    #[must_use]
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self { trusted }
    }

    /// Returns where the user sits on whose behalf a call is made; nothing if nobody says so who is believed.
    ///
    /// The header `x-forwarded-for` is read from its end, which is what the peer has written. A trusted proxy that stands
    /// there is believed in turn; the first other address is the user's, whatever stands before it.
    pub(super) fn of(&self, peer: IpAddr, headers: &HeaderMap, is_operator: impl FnOnce() -> bool) -> Option<IpAddr> {
        // Most calls carry no such header, and no more is asked of them.
        headers.get(FORWARDED_FOR)?;
        self.user(peer, forwarded(headers), is_operator)
    }

    fn user(
        &self,
        peer: IpAddr,
        mut hops: impl Iterator<Item = Option<IpAddr>>,
        is_operator: impl FnOnce() -> bool,
    ) -> Option<IpAddr> {
        if !self.is_trusted(peer) && !is_operator() {
            return None;
        }
        let is_proxy = |hop: &Option<IpAddr>| hop.is_some_and(|hop| self.is_trusted(hop));
        hops.find(|hop| !is_proxy(hop)).flatten().map(network_of)
    }

    /// Returns whether an address is a proxy's or backend's, behind which there are any number of users.
    pub(super) fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

/// Reads the header from its end; an address that cannot be read is nothing.
fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let values = headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>().into_iter().rev();
    let addresses = values.flat_map(|value| value.to_str().unwrap_or("?").rsplit(',').map(address));
    addresses.take(HOPS_MAX)
}

/// Reads `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || text.parse().map(|address: std::net::SocketAddr| address.ip());
    let in_brackets = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    in_brackets.parse().or_else(|_| with_port()).ok().map(|address: IpAddr| address.to_canonical())
}

/// Returns what stands for all addresses that one site has: an IPv4 address, or the first 64 bits of an IPv6 address.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << (128 - V6_BITS))).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(trusted: &[&str], peer: &str, header: &[&str], is_operator: bool) -> Option<String> {
        let sources = Sources::new(trusted.iter().map(|network| network.parse().expect("a network")).collect());
        let mut headers = HeaderMap::new();
        for value in header {
            headers.append(FORWARDED_FOR, value.parse().expect("a header"));
        }
        let peer = peer.parse().expect("an address");
        sources.user(peer, forwarded(&headers), || is_operator).map(|address| address.to_string())
    }

    #[test]
    fn the_header_is_believed_of_trusted_proxies_and_of_operators_alone() {
        let user = Some("203.0.113.7".to_owned());
        let proxies = ["10.0.0.0/8", "2001:db8:ffff::/48"];
        for (peer, header, is_operator, expected) in [
            ("10.1.2.3", &["203.0.113.7"][..], false, &user),
            ("192.0.2.1", &["203.0.113.7"], false, &None),
            ("192.0.2.1", &["203.0.113.7"], true, &user),
            ("192.0.2.1", &[], true, &None),
            ("10.1.2.3", &[], false, &None),
            // What the user wrote themselves stands before what the proxy has added.
            ("10.1.2.3", &["198.51.100.1, 203.0.113.7"], false, &user),
            ("10.1.2.3", &["198.51.100.1", "nonsense, 203.0.113.7"], false, &user),
            ("10.1.2.3", &["203.0.113.7, 10.9.9.9, 10.8.8.8"], false, &user),
            ("192.0.2.1", &["198.51.100.1, 203.0.113.7"], true, &user),
            ("192.0.2.1", &["203.0.113.7, 10.9.9.9"], true, &user),
            // An operator behind a proxy is believed no further than the proxy.
            ("10.1.2.3", &["198.51.100.1, 203.0.113.7"], true, &user),
            // Nobody says who is behind it.
            ("10.1.2.3", &["10.9.9.9"], false, &None),
            ("10.1.2.3", &["nonsense"], false, &None),
            ("10.1.2.3", &["203.0.113.7:4711"], false, &user),
            ("10.1.2.3", &["::ffff:203.0.113.7"], false, &user),
        ] {
            assert_eq!(&source(&proxies, peer, header, is_operator), expected, "{peer} {header:?} {is_operator}");
        }
    }

    #[test]
    fn all_of_an_ipv6_network_is_one_source() {
        let of = |address: &str| source(&["10.0.0.0/8"], "10.1.2.3", &[address], false).expect("a source");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2::1"), of("[2001:db8:1:2:ffff::1]:4711"));
        assert_eq!(of("[2001:db8:1:2::9]"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
