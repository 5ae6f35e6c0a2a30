//! How much is kept.

use std::{net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use cairn_acme::time::Timestamp;
use http::{HeaderMap, Method};

use super::{Delivery, Exchange, KEPT, KEPT_OCTETS, Settings, Transcript};

fn exchange(number: u64, body: usize) -> Exchange {
    Exchange {
        number,
        connection: 1,
        at: Timestamp::from_millis(0),
        arrived: Duration::ZERO,
        answered: Duration::ZERO,
        ahead: Duration::ZERO,
        peer: Ipv4Addr::LOCALHOST.into(),
        step: None,
        method: Method::GET,
        path: "/".to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::from(vec![b' '; body]),
        answer: None,
        delivery: Delivery::None,
        faults: Vec::new(),
        findings: Vec::new(),
    }
}

#[test]
fn the_last_exchanges_are_kept_within_both_bounds() {
    let transcript = Transcript::start(&Settings::default()).unwrap();
    let many = KEPT as u64 + 50;
    (1..=many).for_each(|number| transcript.keep(exchange(number, 0)));
    let kept = transcript.since(0);
    assert_eq!(kept.len(), KEPT);
    assert_eq!(kept.first().unwrap().number, 51);
    // Large ones drive out more.
    (0..=20).for_each(|n| transcript.keep(exchange(many + 1 + n, 1 << 20)));
    let kept = transcript.since(0);
    assert_eq!(kept.len(), 15);
    assert_eq!(kept.last().unwrap().number, many + 21);
    assert!(transcript.held().octets <= KEPT_OCTETS);
    transcript.clear();
    assert_eq!(
        (transcript.since(0).len(), transcript.held().octets),
        (0, 0)
    );
}
