//! The resolver against scripted servers.

use super::super::dns_server::CHANNELS;
use super::super::testing::{
    Asked, Dns, addresses as reply_addresses, record_a, record_aaaa, record_cname, record_txt,
};
use super::*;
use hickory_proto::rr::RecordType;

fn resolver(servers: &[SocketAddr]) -> Resolver {
    let config = ResolverConfig {
        servers: servers.to_vec(),
        trust_ad: true,
        ..ResolverConfig::default()
    };
    Resolver::with(config).unwrap()
}

/// One that repeats after 500 ms, and gives up after as many repeats as the real one.
fn hasty(servers: &[SocketAddr]) -> Resolver {
    let config = ResolverConfig {
        servers: servers.to_vec(),
        repeat: Duration::from_millis(500),
        timeout: Duration::from_millis(2_500),
        ..ResolverConfig::default()
    };
    Resolver::with(config).unwrap()
}

async fn find(resolver: &Resolver, name: &str) -> Result<Vec<String>, LookupFault> {
    let deadline = Instant::now() + Duration::from_secs(9);
    let mut trace = Trace::default();
    let found = resolver.addresses(name, deadline, &mut trace).await;
    assert_eq!(trace.steps.len(), 2, "both kinds are in the trace");
    found.map(|addresses| addresses.found.iter().map(ToString::to_string).collect())
}

fn failed(fault: DnsFault) -> Result<Vec<String>, LookupFault> {
    Err(LookupFault::Failed {
        kind: RecordKind::A,
        fault,
    })
}

fn a(asked: &Asked) -> Vec<u8> {
    reply_addresses(asked, Some(&vec!["192.0.2.1".to_owned()]))
}

#[tokio::test]
async fn both_families_are_asked_side_by_side_and_ipv6_comes_first() {
    let dns = Dns::zone(&[("a.test", &["192.0.2.1", "2001:db8::1", "192.0.2.2"])]).await;
    let resolver = resolver(&[dns.address]);
    let found = find(&resolver, "a.test").await.unwrap();
    assert_eq!(found, ["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
    assert_eq!(dns.asked().len(), 2);
    assert_eq!(
        find(&resolver, "b.test").await,
        Err(LookupFault::NoSuchName)
    );
    let none = Dns::zone(&[("a.test", &[])]).await;
    assert_eq!(
        find(&self::resolver(&[none.address]), "a.test").await,
        Err(LookupFault::NoRecords)
    );
}

#[tokio::test]
async fn forged_answers_are_ignored_and_counted() {
    // T-CA-79
    let dns = Dns::start(|asked| {
        let good = a(asked);
        let forge = |at: usize, octet: u8| {
            let mut bytes = good.clone();
            bytes[at] ^= octet;
            let end = bytes.len();
            bytes[end - 1] = 66;
            bytes
        };
        // Another id, a query, another name, another type; then the true one.
        vec![
            forge(1, 1),
            forge(2, 0x80),
            forge(14, 1),
            forge(19, 1),
            vec![],
            good.clone(),
        ]
    })
    .await;
    let resolver = resolver(&[dns.address]);
    assert_eq!(find(&resolver, "a.test").await.unwrap(), ["192.0.2.1"]);
    let ignored = resolver.counters.dns_ignored.load(Ordering::Relaxed);
    assert!(ignored >= 9, "{ignored}");
    assert_eq!(dns.asked().len(), 2, "nothing was asked again");
}

#[tokio::test]
async fn ids_ports_and_case_differ_from_query_to_query() {
    // T-CA-79
    let dns = Dns::start(|asked| vec![a(asked)]).await;
    let resolver = resolver(&[dns.address]);
    for _ in 0..8 {
        find(&resolver, "some-longer-name.test").await.unwrap();
    }
    let asked = dns.asked();
    let distinct = |part: fn(&Asked) -> Vec<u8>| {
        asked
            .iter()
            .map(part)
            .collect::<std::collections::HashSet<_>>()
            .len()
    };
    assert!(distinct(|a| a.wire[..2].to_vec()) > 12, "ids");
    assert!(distinct(|a| a.wire[12..30].to_vec()) > 12, "case");
    let servers = resolver.servers();
    let ports = lock(&servers[0].channels).len();
    assert_eq!(ports, CHANNELS);
}

#[tokio::test]
async fn a_server_that_changes_case_or_omits_the_question_is_asked_over_tcp() {
    // T-CA-79
    for omit in [false, true] {
        let dns = Dns::start(move |asked| {
            let mut bytes = a(asked);
            if !asked.tcp {
                if bytes[7] == 1 {
                    let end = bytes.len();
                    bytes[end - 1] = 66;
                }
                if omit {
                    bytes[5] = 0;
                } else {
                    bytes[13] ^= 0x20;
                }
            }
            vec![bytes]
        })
        .await;
        let resolver = resolver(&[dns.address]);
        assert_eq!(
            find(&resolver, "a.test").await.unwrap(),
            ["192.0.2.1"],
            "omit {omit}"
        );
        assert_eq!(dns.asked().iter().filter(|a| a.tcp).count(), 2);
    }
}

#[tokio::test]
async fn a_cut_answer_is_fetched_over_tcp_up_to_64_kib() {
    // T-CA-78
    // 8555-11.2-1
    let dns = Dns::start(|asked| {
        let mut reply = asked.reply();
        if !asked.tcp {
            let mut bytes = reply.wire();
            bytes[2] |= 2;
            return vec![bytes];
        }
        for n in 0..250 {
            let filler = format!("{n:-<240}");
            reply = reply.answer(record_txt(&asked.name, &[filler.as_bytes()]));
        }
        vec![reply.answer(record_txt(&asked.name, &[b"right"])).wire()]
    })
    .await;
    let resolver = resolver(&[dns.address]);
    let deadline = Instant::now() + Duration::from_secs(9);
    let texts = resolver
        .texts("a.test", deadline, &mut Trace::default())
        .await
        .unwrap();
    assert_eq!(texts.found.len(), 251);
    assert_eq!(texts.found[250], b"right");
}

#[tokio::test]
async fn each_failure_has_its_name_and_the_next_server_is_asked() {
    // 8555-8.3-5
    // 8555-11.2-1
    let code = |code: u16| Dns::start(move |asked| vec![asked.reply().code(code).wire()]);
    let good = Dns::zone(&[("a.test", &["192.0.2.1"])]).await;
    for (wrong, fault) in [
        (2, DnsFault::ServerFailure),
        (5, DnsFault::Refused),
        (1, DnsFault::Code(1)),
        (4, DnsFault::Code(4)),
    ] {
        let bad = code(wrong).await;
        assert_eq!(
            find(&resolver(&[bad.address]), "a.test").await,
            failed(fault)
        );
        let both = resolver(&[bad.address, good.address]);
        assert_eq!(
            find(&both, "a.test").await.unwrap(),
            ["192.0.2.1"],
            "{wrong}"
        );
    }
    let odd = Dns::start(|asked| {
        let mut bytes = a(asked);
        if bytes[7] == 1 {
            bytes.truncate(bytes.len() - 2);
        }
        vec![bytes]
    })
    .await;
    let got = find(&resolver(&[odd.address]), "a.test").await;
    assert!(
        matches!(
            got,
            Err(LookupFault::Failed {
                fault: DnsFault::Malformed(_),
                ..
            })
        ),
        "{got:?}"
    );
    assert!(
        find(&resolver(&[odd.address, good.address]), "a.test")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_failure_of_one_family_does_not_hide_the_other() {
    let dns = Dns::start(|asked| {
        vec![if asked.kind == hickory_proto::rr::RecordType::A {
            a(asked)
        } else {
            asked.reply().code(2).wire()
        }]
    })
    .await;
    assert_eq!(
        find(&resolver(&[dns.address]), "a.test").await.unwrap(),
        ["192.0.2.1"]
    );
}

#[tokio::test]
async fn a_silent_server_is_asked_again_and_then_given_up_in_bounded_time() {
    // T-CA-77
    let silent = Dns::start(|_| Vec::new()).await;
    let resolver = hasty(&[silent.address]);
    let began = Instant::now();
    assert_eq!(find(&resolver, "a.test").await, failed(DnsFault::Timeout));
    assert!(
        began.elapsed() <= Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    let asked = silent.asked();
    assert_eq!(asked.len(), 2 * SENDS);
    let repeats = resolver.counters.dns_repeats.load(Ordering::Relaxed);
    assert_eq!(repeats, 2 * (SENDS as u64 - 1));
}

#[tokio::test]
async fn a_lost_query_is_repeated_and_a_silent_server_asked_last_from_then_on() {
    let lossy = Dns::start(|asked| {
        if asked.turn < 2 {
            Vec::new()
        } else {
            vec![a(asked)]
        }
    })
    .await;
    assert_eq!(
        find(&hasty(&[lossy.address]), "a.test").await.unwrap(),
        ["192.0.2.1"]
    );
    let silent = Dns::start(|_| Vec::new()).await;
    let good = Dns::zone(&[("a.test", &["192.0.2.1"])]).await;
    let both = hasty(&[silent.address, good.address]);
    assert_eq!(find(&both, "a.test").await.unwrap(), ["192.0.2.1"]);
    assert_eq!(find(&both, "a.test").await.unwrap(), ["192.0.2.1"]);
    assert_eq!(silent.asked().len(), 2);
}

#[tokio::test]
async fn a_host_without_dns_server_is_noticed_at_once() {
    let closed = tokio::net::UdpSocket::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let began = Instant::now();
    let got = find(&resolver(&[closed]), "a.test").await;
    assert!(
        matches!(
            got,
            Err(LookupFault::Failed {
                fault: DnsFault::Unreachable(_),
                ..
            })
        ),
        "{got:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn aliases_are_asked_on_for_with_a_bound_over_all_queries() {
    // T-CA-77
    let dns = Dns::start(|asked| {
        let next = match asked.name.as_str() {
            "a.test" => "b.test",
            "b.test" => return vec![reply_addresses(asked, Some(&vec!["192.0.2.1".to_owned()]))],
            "loop.test" => "pool.test",
            "pool.test" => "loop.test",
            "inner.test" => "loop.test",
            endless => &format!("x{endless}"),
        };
        vec![asked.reply().answer(record_cname(&asked.name, next)).wire()]
    })
    .await;
    let resolver = resolver(&[dns.address]);
    assert_eq!(find(&resolver, "a.test").await.unwrap(), ["192.0.2.1"]);
    for name in ["loop.test", "inner.test"] {
        let got = find(&resolver, name).await;
        assert!(
            matches!(
                got,
                Err(LookupFault::Failed {
                    fault: DnsFault::AliasLoop(_),
                    ..
                })
            ),
            "{got:?}"
        );
    }
    let before = dns.asked().len();
    assert_eq!(
        find(&resolver, "endless.test").await,
        failed(DnsFault::AliasChain)
    );
    assert!(dns.asked().len() - before <= 2 * (MAX_ALIASES + 1));
}

#[tokio::test]
async fn a_chain_of_aliases_is_authenticated_only_if_every_answer_is() {
    // The names say which answers carry the AD bit: that of the alias, that of the target.
    let dns = Dns::start(|asked| {
        let reply = match asked.name.strip_prefix("to.") {
            Some(target) => asked.reply().answer(record_cname(&asked.name, target)),
            None if asked.kind == RecordType::A => {
                asked.reply().answer(record_a(&asked.name, "192.0.2.1"))
            }
            None => asked
                .reply()
                .answer(record_aaaa(&asked.name, "2001:db8::1")),
        };
        let proven = if asked.name.starts_with("to.") {
            asked.name.contains("alias")
        } else {
            asked.name.contains("target")
        };
        vec![if proven { reply.authenticated() } else { reply }.wire()]
    })
    .await;
    let resolver = resolver(&[dns.address]);
    let cases = [
        ("to.alias-target.test", true),
        ("to.alias.test", false),
        ("to.target.test", false),
        ("to.none.test", false),
        ("target.test", true),
    ];
    let mut wrong = Vec::new();
    for (name, want) in cases {
        let deadline = Instant::now() + Duration::from_secs(9);
        let found = resolver
            .addresses(name, deadline, &mut Trace::default())
            .await
            .unwrap();
        if found.authenticated != want {
            wrong.push((name, found.authenticated));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test]
async fn many_lookups_at_once_share_four_sockets() {
    let dns = Dns::start(|asked| {
        vec![
            asked
                .reply()
                .answer(record_a(&asked.name, "192.0.2.1"))
                .wire(),
        ]
    })
    .await;
    let resolver = Arc::new(resolver(&[dns.address]));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100 {
        let resolver = Arc::clone(&resolver);
        tasks.spawn(async move {
            let deadline = Instant::now() + Duration::from_secs(9);
            resolver
                .addresses(&format!("n{n}.test"), deadline, &mut Trace::default())
                .await
                .is_ok()
        });
    }
    while let Some(done) = tasks.join_next().await {
        assert!(done.unwrap());
    }
    assert_eq!(lock(&resolver.servers()[0].channels).len(), CHANNELS);
}

#[tokio::test]
async fn the_systems_resolver_file_is_followed() {
    let dns = Dns::start(|asked| vec![a(asked)]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resolv.conf");
    std::fs::write(&path, "nameserver 192.0.2.53\n").unwrap();
    let config = ResolverConfig {
        resolver_file: path,
        ..ResolverConfig::default()
    };
    let resolver = Resolver::with(config).unwrap();
    assert_eq!(
        resolver.servers()[0].address,
        "192.0.2.53:53".parse().unwrap()
    );
    drop(dns);
}

#[tokio::test]
async fn a_fast_server_is_asked_again_soon_and_a_slow_one_later() {
    let resolver = resolver(&["192.0.2.1:53".parse().unwrap()]);
    let servers = resolver.servers();
    let patience = |turn| servers[0].patience(turn, resolver.repeat).as_millis();
    assert_eq!(patience(0), 1000, "nothing is known yet");
    servers[0].learn(Duration::from_micros(300));
    assert_eq!([patience(0), patience(1), patience(2)], [100, 200, 400]);
    for _ in 0..64 {
        servers[0].learn(Duration::from_millis(50));
    }
    assert!((300..=400).contains(&patience(0)), "{}", patience(0));
    assert_eq!(patience(3), 1000);
}

#[test]
fn an_address_that_no_server_can_have_is_refused() {
    for wrong in ["192.0.2.1:0", "0.0.0.0:53", "[::]:53", "224.0.0.251:5353"] {
        let server = wrong.parse().unwrap();
        let refused = Resolver::new(&[server], Duration::from_secs(3));
        assert_eq!(refused.unwrap_err(), BadServer(server));
    }
    assert!(Resolver::new(&[], Duration::from_secs(3)).is_ok());
}
