use std::{collections::HashSet, sync::Arc};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_nonce_is_good_once() {
    // T-CA-22 8555-6.5-1
    let nonces = Nonces::new().unwrap();
    let nonce = nonces.mint(Duration::ZERO);
    assert_eq!(nonce.len(), LENGTH);
    assert_eq!(nonces.burn(&nonce, Duration::ZERO), Ok(()));
    assert_eq!(nonces.burn(&nonce, Duration::ZERO), Err(NonceRefusal::Used));
}

#[test]
fn of_fifty_threads_that_burn_one_nonce_one_succeeds() {
    // T-CA-22
    let nonces = Arc::new(Nonces::new().unwrap());
    let nonce = nonces.mint(Duration::ZERO);
    let threads: Vec<_> = (0..50)
        .map(|_| {
            let (nonces, nonce) = (Arc::clone(&nonces), nonce.clone());
            std::thread::spawn(move || nonces.burn(&nonce, Duration::ZERO).is_ok())
        })
        .collect();
    let won = threads
        .into_iter()
        .filter(|_| true)
        .map(|t| t.join().unwrap())
        .filter(|won| *won)
        .count();
    assert_eq!(won, 1);
}

#[test]
fn every_altered_bit_is_foreign() {
    // T-CA-24
    let nonces = Nonces::new().unwrap();
    let nonce = nonces.mint(Duration::ZERO);
    let bytes = base64url::decode(&nonce).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut forged = bytes.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let forged = base64url::encode(&forged);
        assert_eq!(
            nonces.burn(&forged, Duration::ZERO),
            Err(NonceRefusal::Foreign),
            "bit {bit}"
        );
    }
    assert_eq!(
        nonces.burn(&nonce, Duration::ZERO),
        Ok(()),
        "the true one still stands"
    );
}

#[test]
fn another_windows_nonce_and_wrong_lengths_are_foreign() {
    // T-CA-24 T-CA-23
    let (ours, other) = (Nonces::new().unwrap(), Nonces::new().unwrap());
    let foreign = other.mint(Duration::ZERO);
    let long = "A".repeat(1 << 20);
    for nonce in [
        foreign.as_str(),
        "",
        "A",
        &long,
        &foreign[1..],
        &format!("{foreign}A"),
    ] {
        assert_eq!(ours.burn(nonce, Duration::ZERO), Err(NonceRefusal::Foreign));
    }
}

#[test]
fn a_nonce_lives_an_hour_and_no_longer() {
    let nonces = Nonces::new().unwrap();
    let (early, late) = (nonces.mint(Duration::ZERO), nonces.mint(Duration::ZERO));
    assert_eq!(nonces.burn(&early, LIFE), Ok(()));
    assert_eq!(
        nonces.burn(&late, LIFE + MINUTE),
        Err(NonceRefusal::Expired)
    );
}

#[test]
fn a_flood_of_new_nonces_costs_no_memory_and_evicts_nobody() {
    // T-CA-25 (the short form; the million is the soak's)
    let nonces = Nonces::new().unwrap();
    let honest = nonces.mint(Duration::ZERO);
    for _ in 0..50_000 {
        let _ = nonces.mint(Duration::ZERO);
    }
    assert_eq!(nonces.memory(), 0);
    assert_eq!(nonces.burn(&honest, MINUTE), Ok(()));
    assert_eq!(nonces.memory(), 1024);
}

#[test]
fn pages_go_with_their_age_and_spent_nonces_never_come_back() {
    // T-CA-25
    let nonces = Nonces::new().unwrap();
    let mut spent = Vec::new();
    for minute in 0..200_u32 {
        let now = MINUTE * minute;
        for _ in 0..500 {
            let nonce = nonces.mint(now);
            assert_eq!(nonces.burn(&nonce, now), Ok(()));
            spent.push(nonce);
        }
        assert!(
            nonces.memory() <= 8 * 1024,
            "minute {minute}: {}",
            nonces.memory()
        );
    }
    let now = MINUTE * 199;
    let alive: Vec<_> = spent
        .iter()
        .filter(|nonce| nonces.burn(nonce, now).is_ok())
        .collect();
    assert_eq!(alive, Vec::<&String>::new());
}

#[test]
fn nonces_are_unique_and_share_no_visible_tail() {
    // 8555-6.5-1
    let nonces = Nonces::new().unwrap();
    let made: Vec<_> = (0..1000).map(|_| nonces.mint(Duration::ZERO)).collect();
    assert_eq!(made.iter().collect::<HashSet<_>>().len(), 1000);
    let tails: HashSet<_> = made.iter().map(|nonce| &nonce[22..]).collect();
    assert_eq!(tails.len(), 1000);
}

#[test]
fn a_saved_window_goes_on_where_it_stopped() {
    // T-CA-23
    let nonces = Nonces::new().unwrap();
    let at = MINUTE * 10;
    let (spent, open) = (nonces.mint(at), nonces.mint(at));
    nonces.burn(&spent, at).unwrap();
    let stopped = Timestamp::from_seconds(1_800_000_000);
    let saved = nonces.save(at, stopped);

    let next = Nonces::load(&saved, Duration::ZERO, stopped.plus(MINUTE)).unwrap();
    assert_eq!(next.burn(&spent, Duration::ZERO), Err(NonceRefusal::Used));
    assert_eq!(next.burn(&open, Duration::ZERO), Ok(()));
    let fresh = next.mint(Duration::ZERO);
    assert_ne!(fresh, spent);
    assert_eq!(next.burn(&fresh, Duration::ZERO), Ok(()));

    let late = Nonces::load(&saved, MINUTE * 500, stopped.plus(LIFE + MINUTE)).unwrap();
    assert_eq!(late.burn(&open, MINUTE * 500), Err(NonceRefusal::Expired));
}

#[test]
fn a_damaged_saved_window_is_refused() {
    let nonces = Nonces::new().unwrap();
    nonces
        .burn(&nonces.mint(Duration::ZERO), Duration::ZERO)
        .unwrap();
    let wall = Timestamp::from_seconds(1_800_000_000);
    let saved = nonces.save(Duration::ZERO, wall);
    for cut in [0, 1, 8, 40, 100, saved.len() - 1] {
        assert_eq!(
            Nonces::load(&saved[..cut], Duration::ZERO, wall).unwrap_err(),
            NonceFault::Unreadable
        );
    }
    for octet in (0..saved.len()).step_by(7) {
        let mut damaged = saved.to_vec();
        damaged[octet] ^= 0x10;
        assert!(
            Nonces::load(&damaged, Duration::ZERO, wall).is_err(),
            "octet {octet}"
        );
    }
}

#[test]
fn debug_shows_no_key() {
    let nonces = Nonces::new().unwrap();
    let shown = format!("{nonces:?}");
    assert!(
        !shown.contains("secret") && !shown.contains("key"),
        "{shown}"
    );
}
