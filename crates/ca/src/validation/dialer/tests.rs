//! The dialer against scripted DNS and listeners on loopback.

use cairn_acme::identifier::DnsName;
use tokio::net::TcpListener;

use super::super::testing::{Dns, addresses, rule};
use super::*;

fn dialer(dns: &Dns) -> Dialer {
    let resolver = Resolver::new(&[dns.address], Duration::from_secs(3)).unwrap();
    Dialer {
        counters: Arc::clone(resolver.counters()),
        resolver,
        limits: TargetLimits::new(8),
    }
}

async fn dial(
    dialer: &Dialer,
    name: &str,
    port: u16,
    rules: &NameRules,
) -> (Result<Dialed, DialFault>, Trace) {
    let mut trace = Trace::default();
    let host = Host::Name(DnsName::parse(name).unwrap());
    let deadline = Instant::now() + Duration::from_secs(10);
    let result = dialer.dial(&host, port, rules, deadline, &mut trace).await;
    (result, trace)
}

#[tokio::test]
async fn no_connection_is_tried_to_an_address_that_is_not_granted() {
    // T-CA-64
    // 8555-10.4-1
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let special = [
        "127.0.0.1",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001::1",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
    ];
    let dns = Dns::zone(&[("evil.example", &special)]).await;
    let dialer = dialer(&dns);
    let rules = NameRules::new(vec![rule("other.example", port, port)], Vec::new());
    for port in [80, 443, port] {
        let (result, trace) = dial(&dialer, "evil.example", port, &rules).await;
        let Err(DialFault::NotPermitted(denied)) = result else {
            panic!("{result:?}")
        };
        assert_eq!(denied.len(), special.len());
        let connects = trace
            .steps
            .iter()
            .filter(|s| matches!(s, Step::Connect { .. }))
            .count();
        assert_eq!(connects, 0);
    }
    assert_eq!(
        dialer
            .counters
            .connects
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
    let accepted = tokio::select! {
        biased;
        _ = listener.accept() => true,
        () = tokio::task::yield_now() => false,
    };
    assert!(!accepted);
}

#[tokio::test]
async fn a_second_answer_is_never_asked_for_within_a_hop() {
    // T-CA-65
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let dns = Dns::start(|asked| {
        let first = if asked.turn < 2 {
            "127.0.0.1"
        } else {
            "10.0.0.1"
        };
        vec![addresses(asked, Some(&vec![first.to_owned()]))]
    })
    .await;
    let rules = NameRules::new(vec![rule("test", port, port)], Vec::new());
    let dialer = dialer(&dns);
    let (result, _) = dial(&dialer, "a.test", port, &rules).await;
    assert_eq!(result.unwrap().address, listener.local_addr().unwrap());
    assert_eq!(dns.asked().len(), 2, "A and AAAA, once each");
    let (result, _) = dial(&dialer, "a.test", port, &rules).await;
    assert!(
        matches!(result, Err(DialFault::NotPermitted(_))),
        "the next hop is judged anew"
    );
}

#[tokio::test]
async fn of_mixed_answers_the_forbidden_ones_are_dropped_in_either_order() {
    // T-CA-66
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let rules = NameRules::new(vec![rule("test", port, port)], Vec::new());
    for ips in [
        ["10.0.0.1", "127.0.0.1"],
        ["127.0.0.1", "10.0.0.1"],
        ["fd00::1", "127.0.0.1"],
        ["127.0.0.1", "fe80::1"],
    ] {
        let dns = Dns::zone(&[("a.test", &ips)]).await;
        let (result, trace) = dial(&dialer(&dns), "a.test", port, &rules).await;
        assert_eq!(
            result.unwrap().address,
            listener.local_addr().unwrap(),
            "{ips:?}"
        );
        let denied = trace
            .steps
            .iter()
            .filter(|s| matches!(s, Step::Denied { .. }))
            .count();
        assert_eq!(denied, 1, "{ips:?}");
    }
}

#[tokio::test]
async fn ipv6_is_tried_first_and_then_one_ipv4_address() {
    // 8555-8.3-4
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let rules = NameRules::new(vec![rule("test", port, port)], Vec::new());
    let dns = Dns::zone(&[
        ("a.test", &["127.0.0.1", "::1"]),
        ("b.test", &["127.0.0.9", "127.0.0.1", "::1"]),
    ])
    .await;
    let dialer = dialer(&dns);
    let (result, _) = dial(&dialer, "a.test", port, &rules).await;
    let dialed = result.unwrap();
    assert_eq!(dialed.address, listener.local_addr().unwrap());
    assert_eq!(dialed.failed.len(), 1);
    assert!(dialed.failed[0].0.is_ipv6());
    let (result, _) = dial(&dialer, "b.test", port, &rules).await;
    let Err(DialFault::NoConnection(failed)) = result else {
        panic!("{result:?}")
    };
    let tried: Vec<String> = failed.iter().map(|(a, _)| a.ip().to_string()).collect();
    assert_eq!(tried, ["::1", "127.0.0.9"], "one address of each family");
    assert!(
        failed
            .iter()
            .all(|(_, fault)| *fault == ConnectFault::Refused),
        "{failed:?}"
    );
}

#[tokio::test]
async fn localhost_is_not_looked_up_and_needs_a_rule() {
    // T-CA-64
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let dns = Dns::zone(&[]).await;
    let dialer = dialer(&dns);
    let (result, _) = dial(&dialer, "demo.localhost", 80, &NameRules::default()).await;
    assert_eq!(result.unwrap_err(), DialFault::Localhost);
    let rules = NameRules::new(vec![rule("localhost", port, port)], Vec::new());
    let (result, _) = dial(&dialer, "demo.localhost", port, &rules).await;
    assert_eq!(result.unwrap().address, listener.local_addr().unwrap());
    assert!(dns.asked().is_empty());
}

#[tokio::test]
async fn no_more_than_the_bound_connect_to_one_address_at_once() {
    // T-CA-72
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let rules = NameRules::new(vec![rule("test", port, port)], Vec::new());
    let dns = Dns::start(|asked| vec![addresses(asked, Some(&vec!["127.0.0.1".to_owned()]))]).await;
    let dialer = dialer(&dns);
    let mut held = Vec::new();
    for n in 0..8 {
        held.push(
            dial(&dialer, &format!("n{n}.test"), port, &rules)
                .await
                .0
                .unwrap(),
        );
    }
    let host = Host::Name(DnsName::parse("late.test").unwrap());
    let soon = Instant::now() + Duration::from_secs(1);
    let late = dialer
        .dial(&host, port, &rules, soon, &mut Trace::default())
        .await;
    let Err(DialFault::NoConnection(failed)) = late else {
        panic!("{late:?}")
    };
    assert_eq!(failed[0].1, ConnectFault::Busy);
    held.pop();
    assert!(dial(&dialer, "late.test", port, &rules).await.0.is_ok());
    drop(held);
    assert_eq!(dialer.limits.len(), 0);
}
