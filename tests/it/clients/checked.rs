//! Each client makes one order at `cairn ca dev`, which names what the client does wrong: once as the RFC has it, once with
//! faults, after which the client may fail but the server has to end with its report. What was found is kept, and
//! `docs/clients.md` is compared with it.

use std::cell::Cell;

use cairn_testkit::seen::{self, Judged};
use cairn_testkit::test_path;

use super::stand::{Stand, Tried, judged};

/// What a client meets that no client should mind.
const FAULTS: [&str; 5] = [
    "bad-nonce=30%",
    "newOrder:refuse=503//1 once",
    "processing=2",
    "order:refuse=429/rateLimited/1 once",
    "finalize:lost once",
];

/// One order without faults, and one with them.
fn judge(path: &str, tries: impl Fn(&Stand) -> Tried<'_>) {
    for (part, faults) in [("quiet", &[][..]), ("faults", &FAULTS)] {
        let is_quiet = faults.is_empty();
        let name = Cell::new("");
        let body = |stand: &Stand| {
            let (client, good) = tries(stand);
            name.set(client.name());
            assert!(good || !is_quiet, "it obtained nothing from a good server");
        };
        judged(part, path, faults, body, |judgement| {
            assert!(judgement.requests > 5 || !is_quiet, "{judgement:?}");
            assert_eq!(judgement.faults == 0, is_quiet, "{judgement:?}");
            seen::keep_judged(&Judged {
                client: name.get().to_owned(),
                faults: !is_quiet,
                breaches: judgement.breaches,
            });
        });
    }
}

macro_rules! judged {
    ($($test:ident $tries:path;)+) => {
        $(#[test]
        fn $test() {
            judge(test_path!(), $tries);
        })+
    };
}

judged! {
    acme_tiny_is_judged super::acme_tiny::tries;
    acmetool_is_judged super::acmetool::tries;
    ansible_is_judged super::ansible::tries;
    apache_is_judged super::apache::tries;
    caddy_is_judged super::caddy::tries;
    certbot_is_judged super::certbot::newest_tries;
    debians_certbot_is_judged super::certbot::debians_tries;
    dehydrated_is_judged super::dehydrated::tries;
    gos_library_is_judged super::go::tries;
    instant_acme_is_judged super::instant_acme::tries;
    lacme_is_judged super::lacme::tries;
    lego_is_judged super::lego::tries;
    npms_library_is_judged super::npm::tries;
    the_python_library_is_judged super::acme_library::tries;
    traefik_is_judged super::traefik::tries;
    uacme_is_judged super::uacme::tries;
}
