//! What certificates name for ever: where CRLs and the issuer's certificate are.

use std::net::{Ipv4Addr, SocketAddr};

use cairn_ca::node::Node;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::world::{FORKS, World, parts};

fn names(chain: &str, url: &str) -> bool {
    let der = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    der.windows(url.len()).any(|w| w == url.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_publication_listener_may_move_and_what_certificates_name_may_not() {
    // T-CA-132
    let world = World::start().await;
    let base = world.ca().snapshot.load().config.publication().to_string();
    let client = world.subscriber().await;
    let got = client.obtain(&["a.bases.test"], &world.web).await;
    assert!(names(&got.chain, &format!("{base}/crl/")));
    let _quiet = FORKS.read().await;
    let mut site = world.stop().await;

    // Another URL in the configuration: the node does not start, and says which one belongs there.
    let mut wrong = parts(&site.dir());
    wrong.config = site.config.clone();
    wrong.config.publication_url = Some("http://localhost:9".parse().unwrap());
    let refused = Node::start(wrong).await.err().unwrap().to_string();
    assert!(refused.contains(&base), "{refused}");
    // Nor with the setting gone and the listener moved, from which it would follow.
    site.config.listen.publication = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    let mut wrong = parts(&site.dir());
    wrong.config = site.config.clone();
    wrong.config.publication_url = None;
    let refused = Node::start(wrong).await.err().unwrap().to_string();
    assert!(refused.contains(&base), "{refused}");

    let world = site.start(|_| {}).await;
    let client = world.subscriber().await;
    let got = client.obtain(&["b.bases.test"], &world.web).await;
    assert!(names(&got.chain, &format!("{base}/crl/")));
    assert!(names(&got.chain, &format!("{base}/issuer/")));
    world.shutdown().await;
}
