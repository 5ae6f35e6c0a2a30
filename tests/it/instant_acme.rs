//! instant-acme, the Rust client.

use ::instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus,
    RetryPolicy,
};
use cairn_testkit::ca::HOST;
use cairn_testkit::http::Responder;
use cairn_testkit::{acme, block_on, issued, test_path};

use crate::world::{assert_good, inside, names};

#[test]
fn instant_acme_gets_one_two_and_a_hundred_names() {
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        for count in [1, 2, 100] {
            let names = names(count, &format!("i{count}"));
            let chain = block_on(async {
                let builder = Account::builder_with_root(world.ca.root_path()).unwrap();
                let new = NewAccount {
                    contact: &[],
                    terms_of_service_agreed: true,
                    only_return_existing: false,
                };
                let (account, _) = builder
                    .create(&new, world.ca.directory(), None)
                    .await
                    .unwrap();
                web.answer_for(account.key_thumbprint());
                order(&account, &names).await
            });
            issued::keep_chain(&chain);
            let file = world.folder.path().join("chain.pem");
            std::fs::write(&file, chain).unwrap();
            assert_good(&file, &world.ca.root_path(), &names);
        }
    });
}

async fn order(account: &Account, names: &[String]) -> String {
    let identifiers: Vec<_> = names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account
        .new_order(&NewOrder::new(&identifiers))
        .await
        .unwrap();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.unwrap();
        assert_eq!(authorization.status, AuthorizationStatus::Pending);
        authorization
            .challenge(ChallengeType::Http01)
            .unwrap()
            .set_ready()
            .await
            .unwrap();
    }
    let policy = RetryPolicy::default();
    assert_eq!(order.poll_ready(&policy).await.unwrap(), OrderStatus::Ready);
    let (csr, _) = acme::csr(&names.iter().map(String::as_str).collect::<Vec<_>>());
    order.finalize_csr(&csr).await.unwrap();
    order.poll_certificate(&policy).await.unwrap()
}
