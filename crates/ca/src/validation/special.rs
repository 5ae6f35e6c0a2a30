//! The special-purpose address ranges of the IANA registries (RFC 6890 and what came since),
//! with what it takes to open each of them to validation.
//!
//! Left out on purpose: the anycast ranges that the registries call globally reachable outside
//! `192.0.0.0/24` and `2001::/23` (AS112, AMT): they lead to public servers like any other address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// What an operator's rule must say before an address of a range may be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opens {
    /// Nothing opens it: no validated server can live there.
    Never,
    /// Only a range of a rule that names this one address (`/32`, `/128`).
    Alone,
    /// Only a range of a rule that lies wholly inside this range.
    Within,
    /// Any range of a rule that contains the address.
    Covered,
}

/// What is known about an address that is not plainly global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Special {
    /// The range's name, as shown to people.
    pub(super) name: &'static str,
    /// The range's length of prefix and first address, for comparison with a rule's range.
    pub(super) base: IpAddr,
    /// See `base`.
    pub(super) bits: u8,
    /// What it takes to dial it.
    pub(super) opens: Opens,
    /// The IPv4 address that packets to this IPv6 address end at.
    pub(super) embedded: Option<Ipv4Addr>,
}

/// Finds the special range of an address; `None` for a global one.
pub(super) fn special_range(ip: IpAddr) -> Option<Special> {
    match ip {
        IpAddr::V4(v4) => special_v4(v4),
        IpAddr::V6(v6) => special_v6(v6),
    }
}

/// Tells whether a whole range is global.
pub(crate) fn is_global(range: &IpNet) -> bool {
    let v4 = V4.iter().map(|(base, ..)| IpAddr::V4(*base));
    let v6 = V6.iter().map(|(base, ..)| IpAddr::V6(*base));
    special_range(range.addr()).is_none() && !v4.chain(v6).any(|base| range.contains(&base))
}

fn special_v4(ip: Ipv4Addr) -> Option<Special> {
    let bits_of = u32::from(ip);
    V4.iter()
        .find(|(base, bits, _, _)| {
            let shift = 32 - u32::from(*bits);
            let wanted = u32::from(*base);
            bits_of.checked_shr(shift).unwrap_or(0) == wanted.checked_shr(shift).unwrap_or(0)
        })
        .map(|&(base, bits, name, opens)| Special {
            name,
            base: IpAddr::V4(base),
            bits,
            opens,
            embedded: None,
        })
}

fn special_v6(ip: Ipv6Addr) -> Option<Special> {
    let bits_of = u128::from(ip);
    let found = V6.iter().find(|(base, bits, _, _, _)| {
        let shift = 128 - u32::from(*bits);
        bits_of.checked_shr(shift).unwrap_or(0) == u128::from(*base).checked_shr(shift).unwrap_or(0)
    });
    if let Some(&(base, bits, name, opens, embeds)) = found {
        let embedded = embeds.address(ip);
        if embeds == Embeds::WellKnownNat64
            && let Some(v4) = embedded
            && special_v4(v4).is_none()
        {
            // RFC 6052: a global IPv4 address seen through a translator is still global;
            // IPv6-only networks reach IPv4 hosts only so.
            return None;
        }
        return Some(Special {
            name,
            base: IpAddr::V6(base),
            bits,
            opens,
            embedded,
        });
    }
    // RFC 4291 section 2.4 with the IANA address space registry: only 2000::/3 is handed out
    // for global unicast, so anything else is not an address of a public server.
    if bits_of >> 125 == 1 {
        return None;
    }
    Some(Special {
        name: "not allocated as global unicast",
        base: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        bits: 0,
        opens: Opens::Covered,
        embedded: None,
    })
}

/// Where an IPv6 range keeps an IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Embeds {
    Nothing,
    LastFour,
    /// As `LastFour`; a global IPv4 address makes the whole address global.
    WellKnownNat64,
    /// 6to4, RFC 3056: behind the first 16 bits.
    AfterSixteen,
    /// Teredo, RFC 4380: the client's address, inverted, in the last four octets.
    LastFourInverted,
}

impl Embeds {
    fn address(self, ip: Ipv6Addr) -> Option<Ipv4Addr> {
        let [_, _, a, b, c, d, _, _, _, _, _, _, w, x, y, z] = ip.octets();
        match self {
            Self::Nothing => None,
            Self::LastFour | Self::WellKnownNat64 => Some(Ipv4Addr::new(w, x, y, z)),
            Self::AfterSixteen => Some(Ipv4Addr::new(a, b, c, d)),
            Self::LastFourInverted => Some(Ipv4Addr::new(!w, !x, !y, !z)),
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

const fn v6(a: u16, b: u16, c: u16, rest: u16, last: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, rest, 0, 0, 0, last)
}

/// The first match counts, so single addresses stand before the ranges that hold them.
const V4: &[(Ipv4Addr, u8, &str, Opens)] = &[
    (v4(169, 254, 169, 254), 32, METADATA, Opens::Alone),
    (v4(169, 254, 170, 2), 32, METADATA, Opens::Alone),
    (v4(192, 0, 0, 192), 32, METADATA, Opens::Alone),
    (v4(100, 100, 100, 200), 32, METADATA, Opens::Alone),
    (v4(168, 63, 129, 16), 32, METADATA, Opens::Alone),
    (v4(0, 0, 0, 0), 8, "this network, RFC 791", Opens::Never),
    (v4(10, 0, 0, 0), 8, PRIVATE, Opens::Covered),
    (
        v4(100, 64, 0, 0),
        10,
        "shared address space, RFC 6598",
        Opens::Covered,
    ),
    (v4(127, 0, 0, 0), 8, "loopback, RFC 1122", Opens::Within),
    (
        v4(169, 254, 0, 0),
        16,
        "link local, RFC 3927",
        Opens::Within,
    ),
    (v4(172, 16, 0, 0), 12, PRIVATE, Opens::Covered),
    (
        v4(192, 0, 0, 0),
        24,
        "IETF protocol assignments, RFC 6890",
        Opens::Covered,
    ),
    (v4(192, 0, 2, 0), 24, DOCUMENTATION4, Opens::Covered),
    (
        v4(192, 88, 99, 0),
        24,
        "6to4 relay anycast, RFC 7526",
        Opens::Never,
    ),
    (v4(192, 168, 0, 0), 16, PRIVATE, Opens::Covered),
    (
        v4(198, 18, 0, 0),
        15,
        "benchmarking, RFC 2544",
        Opens::Covered,
    ),
    (v4(198, 51, 100, 0), 24, DOCUMENTATION4, Opens::Covered),
    (v4(203, 0, 113, 0), 24, DOCUMENTATION4, Opens::Covered),
    (v4(224, 0, 0, 0), 4, "multicast, RFC 5771", Opens::Never),
    (
        v4(255, 255, 255, 255),
        32,
        "limited broadcast, RFC 919",
        Opens::Never,
    ),
    (v4(240, 0, 0, 0), 4, "reserved, RFC 1112", Opens::Covered),
];

/// See [`V4`].
const V6: &[(Ipv6Addr, u8, &str, Opens, Embeds)] = &[
    (
        v6(0xfd00, 0xec2, 0, 0, 0x254),
        128,
        METADATA,
        Opens::Alone,
        Embeds::Nothing,
    ),
    (
        v6(0xfd20, 0xce, 0, 0, 0x254),
        128,
        METADATA,
        Opens::Alone,
        Embeds::Nothing,
    ),
    (
        v6(0, 0, 0, 0, 0),
        128,
        "unspecified, RFC 4291",
        Opens::Never,
        Embeds::Nothing,
    ),
    (
        v6(0, 0, 0, 0, 1),
        128,
        "loopback, RFC 4291",
        Opens::Within,
        Embeds::Nothing,
    ),
    (
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0),
        96,
        "IPv4-mapped, RFC 4291",
        Opens::Never,
        Embeds::LastFour,
    ),
    (
        v6(0, 0, 0, 0, 0),
        96,
        "IPv4-compatible, RFC 4291",
        Opens::Never,
        Embeds::LastFour,
    ),
    (
        v6(0x64, 0xff9b, 0, 0, 0),
        96,
        "NAT64, RFC 6052",
        Opens::Covered,
        Embeds::WellKnownNat64,
    ),
    (
        v6(0x64, 0xff9b, 1, 0, 0),
        48,
        "local NAT64, RFC 8215",
        Opens::Within,
        Embeds::LastFour,
    ),
    (
        v6(0x100, 0, 0, 0, 0),
        64,
        "discard only, RFC 6666",
        Opens::Never,
        Embeds::Nothing,
    ),
    (
        v6(0x100, 0, 0, 1, 0),
        64,
        "dummy prefix, RFC 9780",
        Opens::Never,
        Embeds::Nothing,
    ),
    (
        v6(0x2001, 0, 0, 0, 0),
        32,
        "Teredo, RFC 4380",
        Opens::Within,
        Embeds::LastFourInverted,
    ),
    (
        v6(0x2001, 2, 0, 0, 0),
        48,
        "benchmarking, RFC 5180",
        Opens::Covered,
        Embeds::Nothing,
    ),
    (
        v6(0x2001, 0xdb8, 0, 0, 0),
        32,
        "documentation, RFC 3849",
        Opens::Covered,
        Embeds::Nothing,
    ),
    (
        v6(0x2001, 0, 0, 0, 0),
        23,
        "IETF protocol assignments, RFC 2928",
        Opens::Covered,
        Embeds::Nothing,
    ),
    (
        v6(0x2002, 0, 0, 0, 0),
        16,
        "6to4, RFC 3056",
        Opens::Within,
        Embeds::AfterSixteen,
    ),
    (
        v6(0x3fff, 0, 0, 0, 0),
        20,
        "documentation, RFC 9637",
        Opens::Covered,
        Embeds::Nothing,
    ),
    (
        v6(0x5f00, 0, 0, 0, 0),
        16,
        "segment routing, RFC 9602",
        Opens::Covered,
        Embeds::Nothing,
    ),
    (
        v6(0xfc00, 0, 0, 0, 0),
        7,
        "unique local, RFC 4193",
        Opens::Covered,
        Embeds::Nothing,
    ),
    (
        v6(0xfe80, 0, 0, 0, 0),
        10,
        "link local, RFC 4291",
        Opens::Within,
        Embeds::Nothing,
    ),
    (
        v6(0xfec0, 0, 0, 0, 0),
        10,
        "site local, RFC 3879",
        Opens::Covered,
        Embeds::Nothing,
    ),
    (
        v6(0xff00, 0, 0, 0, 0),
        8,
        "multicast, RFC 4291",
        Opens::Never,
        Embeds::Nothing,
    ),
];

const METADATA: &str = "cloud metadata service";
const PRIVATE: &str = "private use, RFC 1918";
const DOCUMENTATION4: &str = "documentation, RFC 5737";
