//! What a server under load and at its end owes to whom: places to those who use them, ends to what was begun.

use std::{sync::Arc, time::Duration};

use cairn_ca::frontend::{Bounds, listen_within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::timeout,
};

use crate::{listener::connect, world::World};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_its_answers_loses_its_connection_and_another_gets_the_place() {
    let world = World::start().await;
    let (_stop, stopped) = watch::channel(false);
    let bounds = Bounds {
        connections: 1,
        per_network: 2,
        write: Duration::from_millis(300),
        ..Bounds::default()
    };
    let (address, _) = listen_within(
        Arc::clone(world.ca()),
        "127.0.0.1:0".parse().unwrap(),
        world.certificate(),
        stopped,
        bounds,
    )
    .unwrap();
    let mut deaf = connect(address, &world.root()).await.unwrap();
    let request = b"GET /directory HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let many = request.repeat(100);
    // The answers fill the buffers between the two; then the server takes no more requests, and ends the connection.
    let ended = timeout(PATIENCE, async {
        while deaf.write_all(&many).await.is_ok() && deaf.flush().await.is_ok() {}
    });
    assert!(ended.await.is_ok(), "the connection is kept for ever");
    let next = timeout(PATIENCE, async {
        let mut next = connect(address, &world.root()).await.unwrap();
        next.write_all(request).await.unwrap();
        let mut start = [0; 12];
        next.read_exact(&mut start).await.unwrap();
        start
    });
    assert_eq!(&next.await.unwrap(), b"HTTP/1.1 200");
}
