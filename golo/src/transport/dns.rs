//! Lookup of host names by the system's resolver, and the order in which the addresses of a name are tried.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rand::RngExt as _;
use tokio::net::lookup_host;

use crate::metrics::scope::entropy;
use crate::support::lock::lock;
use crate::transport::options::{Dns, Family, Resolve, Select};

/// Looks up host names. Connections that need the same name at the same time wait for one lookup.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    dns: Dns,
    fixed: Vec<Resolve>,
    names: Mutex<HashMap<Box<str>, Arc<Name>>>,
}

#[derive(Debug, Default)]
struct Name {
    found: tokio::sync::Mutex<Option<Found>>,
}

/// Addresses of a name.
#[derive(Debug)]
struct Found {
    at: Instant,
    /// Or the reason why there are none.
    addresses: Result<Vec<IpAddr>, (io::ErrorKind, String)>,
    /// Number of connections that used them.
    used: usize,
}

impl Resolver {
    pub(crate) fn new(dns: Dns, fixed: Vec<Resolve>) -> Self {
        Self { dns, fixed, names: Mutex::default() }
    }

    /// Returns the addresses for `host`, if no lookup is needed for them.
    pub(crate) fn known(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let fixed: Vec<_> = self.fixed.iter().filter(|fixed| fixed.port == port && fixed.host == host).collect();
        if !fixed.is_empty() {
            let addresses = fixed.into_iter().map(|fixed| fixed.address).collect();
            return Some(self.ordered_by_turn(host, port, addresses));
        }
        let address: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        Some(vec![SocketAddr::new(address, port)])
    }

    /// Returns true if `host` has fixed addresses at this port.
    pub(crate) fn is_fixed(&self, host: &str, port: u16) -> bool {
        self.fixed.iter().any(|fixed| fixed.port == port && fixed.host == host)
    }

    /// Returns the addresses of `host` in the order in which a new connection tries them.
    ///
    /// # Errors
    ///
    /// Returns an error if the name has no address of a kind that may be used.
    pub(crate) async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let name = Arc::clone(lock(&self.names).entry(host.into()).or_default());
        let mut found = name.found.lock().await;
        if found.as_ref().is_none_or(|found| found.at.elapsed() >= self.dns.ttl) {
            let looked_up = lookup_host((host, port)).await.map(|all| all.map(|address| address.ip()).collect());
            let addresses = looked_up.and_then(|all: Vec<_>| self.usable(all, host));
            let addresses = addresses.map_err(|error| (error.kind(), error.to_string()));
            let used = found.as_ref().map_or(0, |found| found.used);
            *found = Some(Found { at: Instant::now(), addresses, used });
        }
        let found = found.as_mut().ok_or_else(|| io::Error::other("the lookup was lost"))?;
        let used = found.used;
        found.used = used.wrapping_add(1);
        let addresses = found.addresses.as_ref().map_err(|(kind, text)| io::Error::new(*kind, text.clone()))?;
        Ok(self.ordered(addresses, used, port))
    }

    /// Orders fixed addresses, for which there is no lookup, as those of a lookup.
    fn ordered_by_turn(&self, host: &str, port: u16, addresses: Vec<IpAddr>) -> Vec<SocketAddr> {
        let name = Arc::clone(lock(&self.names).entry(format!("{host}:{port}").into()).or_default());
        // Nothing holds this lock across an await.
        let used = name.found.try_lock().map_or(0, |mut found| {
            let found = found.get_or_insert_with(|| Found { at: Instant::now(), addresses: Ok(Vec::new()), used: 0 });
            found.used = found.used.wrapping_add(1);
            found.used - 1
        });
        self.ordered(&addresses, used, port)
    }

    fn usable(&self, mut addresses: Vec<IpAddr>, host: &str) -> io::Result<Vec<IpAddr>> {
        let kind = match self.dns.family {
            Family::Any => "",
            Family::V4 => "IPv4 ",
            Family::V6 => "IPv6 ",
        };
        addresses.retain(|address| match self.dns.family {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        });
        let mut seen = Vec::with_capacity(addresses.len());
        addresses.retain(|address| {
            !seen.contains(address) && {
                seen.push(*address);
                true
            }
        });
        match addresses.is_empty() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, format!("`{host}` has no {kind}address"))),
            false => Ok(addresses),
        }
    }

    /// Orders addresses: the chosen one first, then the others in turn, with the two families alternating (RFC 8305,
    /// section 4).
    fn ordered(&self, addresses: &[IpAddr], used: usize, port: u16) -> Vec<SocketAddr> {
        let first = match self.dns.select {
            Select::RoundRobin => used % addresses.len().max(1),
            Select::First => 0,
            Select::Random => entropy().random_range(0..addresses.len().max(1)),
        };
        let (after, before) = (addresses.iter().skip(first), addresses.iter().take(first));
        let turned: Vec<IpAddr> = after.chain(before).copied().collect();
        let is_first_kind =
            |address: &&IpAddr| turned.first().is_some_and(|first| first.is_ipv4() == address.is_ipv4());
        let (same, other): (Vec<_>, Vec<_>) = turned.iter().partition(is_first_kind);
        let mut ordered = Vec::with_capacity(turned.len());
        for at in 0..same.len().max(other.len()) {
            ordered.extend(
                same.get(at).into_iter().chain(other.get(at)).map(|address: &&IpAddr| SocketAddr::new(**address, port)),
            );
        }
        ordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn firsts(select: Select, number: usize) -> Vec<String> {
        let resolver = Resolver::new(Dns { select, ..Dns::default() }, Vec::new());
        let all = addresses(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        (0..number).map(|used| resolver.ordered(&all, used, 80)[0].ip().to_string()).collect()
    }

    #[test]
    fn connections_take_the_addresses_in_turn() {
        assert_eq!(firsts(Select::RoundRobin, 4), ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1"]);
        assert_eq!(firsts(Select::First, 2), ["10.0.0.1", "10.0.0.1"]);
        let random = firsts(Select::Random, 100);
        assert!(["10.0.0.1", "10.0.0.2", "10.0.0.3"].iter().all(|address| random.iter().any(|first| first == address)));
    }

    #[test]
    fn families_alternate() {
        let all = addresses(&["::1", "::2", "10.0.0.1", "::3"]);
        let ordered = Resolver::default().ordered(&all, 0, 1);
        let ordered: Vec<_> = ordered.iter().map(|address| address.ip().to_string()).collect();
        assert_eq!(ordered, ["::1", "10.0.0.1", "::2", "::3"]);
    }

    #[test]
    fn fixed_addresses_and_literals_need_no_lookup() {
        let fixed = |address: &str| Resolve { host: "shop".into(), port: 80, address: address.parse().unwrap() };
        let resolver = Resolver::new(Dns::default(), vec![fixed("10.0.0.1"), fixed("10.0.0.2")]);
        let first = |host: &str, port| resolver.known(host, port).map(|addresses| addresses[0].to_string());
        assert_eq!(first("shop", 80).as_deref(), Some("10.0.0.1:80"));
        assert_eq!(first("shop", 80).as_deref(), Some("10.0.0.2:80"));
        assert_eq!(first("shop", 81), None);
        assert_eq!(first("[::1]", 5).as_deref(), Some("[::1]:5"));
        assert_eq!(first("127.0.0.1", 5).as_deref(), Some("127.0.0.1:5"));
    }

    #[tokio::test]
    async fn family_limits_the_addresses() {
        let resolver = Resolver::new(Dns { family: Family::V4, ..Dns::default() }, Vec::new());
        let found = resolver.look_up("localhost", 1).await.unwrap();
        assert!(found.iter().all(SocketAddr::is_ipv4), "{found:?}");
    }

    #[tokio::test]
    async fn failed_lookup_is_kept_as_long_as_addresses_are() {
        let resolver = Resolver::new(Dns { ttl: std::time::Duration::from_secs(3600), ..Dns::default() }, Vec::new());
        let first = resolver.look_up("nowhere.invalid", 1).await.unwrap_err();
        let name = Arc::clone(&lock(&resolver.names)["nowhere.invalid"]);
        let looked_up = name.found.lock().await.as_ref().unwrap().at;
        let second = resolver.look_up("nowhere.invalid", 1).await.unwrap_err();
        assert_eq!(first.to_string(), second.to_string());
        assert_eq!(name.found.lock().await.as_ref().unwrap().at, looked_up, "it is not looked up again");
    }
}
