//! 128 clients at once.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cairn_testkit::dev::DevCa;
use cairn_testkit::process::Signal;
use cairn_testkit::{block_on, netns, test_path};
use tokio::task::JoinSet;

const CLIENTS: usize = 128;
const SPAN: Duration = Duration::from_secs(10);
/// Between two finished orders, whoever's.
const PAUSE: Duration = Duration::from_secs(1);

#[test]
fn a_hundred_and_twenty_eight_clients_are_served_without_a_pause() {
    netns::inside(test_path!(), || {
        netns::many_descriptors();
        let ca = DevCa::start(&[]);
        let web = std::sync::Arc::new(ca.responder());
        let root = std::fs::read_to_string(ca.root_path()).unwrap();
        let finished = std::sync::Arc::new(Mutex::new(Vec::new()));
        block_on(async {
            let mut first = ca.client().await;
            first.new_account().await.expect(201);
            let start = Instant::now();
            let mut clients = JoinSet::new();
            for number in 0..CLIENTS {
                let client = first.apart(&root);
                let (web, finished) = (web.clone(), finished.clone());
                clients.spawn(async move {
                    for order in 0_u32.. {
                        if start.elapsed() > SPAN {
                            break;
                        }
                        let name = format!("o{order}.c{number}.load.test");
                        // Fails the test if anything is refused.
                        client.obtain(&[&name], &web).await;
                        let mut finished = finished.lock().unwrap_or_else(PoisonError::into_inner);
                        finished.push(Instant::now());
                    }
                });
            }
            while let Some(done) = clients.join_next().await {
                done.unwrap();
            }
        });
        let finished = finished.lock().unwrap();
        assert!(finished.len() >= 2 * CLIENTS, "{} orders", finished.len());
        let pauses = finished.windows(2).map(|two| two[1] - two[0]);
        let longest = pauses.max().unwrap();
        eprintln!("{} orders, longest pause {longest:?}", finished.len());
        assert!(longest <= PAUSE, "nothing was finished for {longest:?}");
        assert_eq!(ca.stop(Signal::TERM).0, Some(0));
    });
}
