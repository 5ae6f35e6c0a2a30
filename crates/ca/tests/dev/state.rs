//! Which requests a fault strikes: pure, so without a server.

use std::{net::IpAddr, time::Duration};

use cairn_ca::dev::{Action, Asked, State, Step};

use crate::site::Site;

fn asked(step: Step) -> Asked {
    Asked {
        step: Some(step),
        address: IpAddr::from([127, 0, 0, 1]),
        agent: "certbot/5.8".to_owned(),
        account: Some("AAA".to_owned()),
        thumbprint: Some("tp".to_owned()),
    }
}

fn state(seed: u32, faults: &[&str]) -> State {
    let mut state = State::new(seed);
    for fault in faults {
        state.add(fault.parse().unwrap());
    }
    state
}

/// Which of so many equal requests are struck, from 1.
fn struck(state: &mut State, asked: &Asked, requests: usize) -> Vec<usize> {
    (1..=requests)
        .filter(|_| !state.decide(asked, Duration::ZERO).is_empty())
        .collect()
}

#[test]
fn a_fault_strikes_as_often_as_it_says_those_whom_it_is_for() {
    let order = asked(Step::NewOrder);
    let rows: [(&str, &[usize]); 17] = [
        ("cut", &[1, 2, 3, 4]),
        ("cut always", &[1, 2, 3, 4]),
        ("cut once", &[1]),
        ("cut first=3", &[1, 2, 3]),
        ("cut nth=3", &[3]),
        ("cut 100%", &[1, 2, 3, 4]),
        ("newOrder:cut", &[1, 2, 3, 4]),
        ("order:cut", &[]),
        ("bad-nonce nth=2", &[2]),
        // Of steps that the action does not know.
        ("chain=empty", &[]),
        ("cut account=AAA", &[1, 2, 3, 4]),
        ("cut account=tp nth=4", &[4]),
        ("cut account=BBB", &[]),
        ("cut client=127.0.0.1", &[1, 2, 3, 4]),
        ("cut client=::1", &[]),
        ("cut client=certbot", &[1, 2, 3, 4]),
        ("cut client=lego", &[]),
    ];
    let mut wrong = Vec::new();
    for (text, want) in rows {
        let got = struck(&mut state(1, &[text]), &order, 4);
        if got != want {
            wrong.push((text, got));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn what_is_no_resource_meets_no_fault() {
    let nowhere = Asked {
        step: None,
        ..asked(Step::Order)
    };
    assert!(struck(&mut state(1, &["cut"]), &nowhere, 3).is_empty());
}

#[test]
fn the_same_seed_strikes_the_same_requests_and_another_one_others() {
    let order = asked(Step::NewOrder);
    let run = |seed, faults: &[&str]| struck(&mut state(seed, faults), &order, 1000);
    let one = run(7, &["cut 20%"]);
    assert_eq!(one, run(7, &["cut 20%"]));
    assert_ne!(one, run(8, &["cut 20%"]));
    // Six standard deviations.
    assert!((124..=276).contains(&one.len()), "{}", one.len());
    // A second fault draws by itself, and does not move the first.
    let mut both = state(7, &["cut 20%", "newOrder:lost 50%"]);
    let mut cut = Vec::new();
    for n in 1..=1000 {
        let strikes = both.decide(&order, Duration::ZERO);
        if strikes.iter().any(|strike| strike.action == Action::Cut) {
            cut.push(n);
        }
        // Requests of another step are nothing to either.
        both.decide(
            &Asked {
                step: None,
                ..asked(Step::Order)
            },
            Duration::ZERO,
        );
    }
    assert_eq!(cut, one);
}

#[test]
fn while_the_server_is_down_every_request_is_cut_and_no_fault_counts_it() {
    let order = asked(Step::NewOrder);
    let mut state = state(1, &["directory:down=10s once", "newOrder:503"]);
    let at = Duration::from_secs;
    state.decide(&asked(Step::Directory), at(100));
    let actions = |state: &mut State, now| {
        let strikes = state.decide(&order, at(now));
        strikes
            .into_iter()
            .map(|s| s.action.name())
            .collect::<Vec<_>>()
    };
    assert_eq!(actions(&mut state, 109), ["cut"]);
    assert_eq!(actions(&mut state, 110), ["refuse"]);
    let counts: Vec<_> = state
        .list()
        .map(|(_, _, met, struck)| (met, struck))
        .collect();
    assert_eq!(counts, [(1, 1), (1, 1)]);
}

#[test]
fn a_fault_that_was_taken_out_strikes_no_more() {
    let order = asked(Step::NewOrder);
    let mut state = state(1, &["503"]);
    let id = state.add("cut".parse().unwrap());
    assert!(state.remove(id) && !state.remove(id));
    assert_eq!(state.decide(&order, Duration::ZERO).len(), 1);
    state.clear();
    assert_eq!(state.decide(&order, Duration::ZERO), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_with_the_same_seed_is_the_same_over_the_wire_too() {
    let mut runs = Vec::new();
    for seed in [3, 3, 4] {
        let site = Site::with(&format!(
            "seed = {seed}\n[[fault]]\nfault = \"refuse\"\nvalue = \"503\"\nstep = \"directory\"\nwhen = \"40%\"\n"
        ))
        .await;
        let mut statuses = Vec::new();
        // The very first connection may meet it too: this client asks for itself.
        let client = loop {
            let tried = tokio::spawn(cairn_testkit::acme::Client::connect(
                site.ca.directory().to_owned().leak(),
                site.ca.root_pem().to_owned().leak(),
            ));
            match tried.await {
                Ok(client) => break client,
                Err(_) => statuses.push(503),
            }
        };
        statuses.push(200);
        while statuses.len() < 40 {
            statuses.push(client.plain("GET", site.ca.directory()).await.status);
        }
        runs.push(statuses);
        site.ca.shutdown().await;
    }
    assert!(runs[0].contains(&503) && runs[0].contains(&200));
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_for_one_account_or_client_leaves_the_others_alone() {
    let site = Site::start().await;
    let (struck, spared) = (site.subscriber().await, site.subscriber().await);
    let id = struck.kid.as_deref().unwrap().rsplit('/').next().unwrap();
    for account in [id, &struck.key.thumbprint()] {
        let fault = site.fault(&format!("newOrder:503 account={account}"));
        struck.new_order(&["a.one.test"]).await.expect(503);
        spared.new_order(&["a.one.test"]).await.expect(201);
        assert!(site.ca.doors().remove(fault));
    }
    // By the key before there is an account.
    let mut new = site.stranger().await;
    site.fault(&format!("newAccount:503 account={}", new.key.thumbprint()));
    new.new_account().await.expect(503);
    site.subscriber().await;
    // By address and by program.
    site.fault("directory:500 client=127.0.0.2");
    site.fault("directory:502 client=lego");
    let url = site.ca.directory();
    let agent = |agent: &str| [("user-agent".to_owned(), agent.to_owned())];
    let seen = |agent: [(String, String); 1]| {
        let client = spared.clone();
        async move { client.plain_with("GET", url, &agent).await.unwrap().status }
    };
    assert_eq!(seen(agent("xenolf-acme/4.9 lego-cli/4.9")).await, 502);
    assert_eq!(seen(agent("certbot/5.8")).await, 200);
    let elsewhere = spared.apart_from(site.ca.root_pem(), [127, 0, 0, 2]);
    assert_eq!(elsewhere.plain("GET", url).await.status, 500);
}
