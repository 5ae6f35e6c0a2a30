//! A real client in front of faults: what it heals by itself, and what it reports.

use std::time::Duration;

use instant_acme::{
    Account, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order, OrderStatus,
    RetryPolicy,
};

use crate::site::Site;

pub(crate) async fn account(site: &Site) -> Account {
    let root = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(root.path(), site.ca.root_pem()).unwrap();
    let new = NewAccount {
        contact: &[],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let builder = Account::builder_with_root(root.path()).unwrap();
    let directory = site.ca.directory().to_owned();
    let (account, _) = builder.create(&new, directory, None).await.unwrap();
    site.web.answer_for(account.key_thumbprint());
    account
}

async fn place(account: &Account, name: &str) -> Result<Order, Error> {
    let names = [Identifier::Dns(name.to_owned())];
    account.new_order(&NewOrder::new(&names)).await
}

async fn answer(order: &mut Order) {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.unwrap();
        let mut challenge = authorization.challenge(ChallengeType::Http01).unwrap();
        challenge.set_ready().await.unwrap();
    }
}

fn patient() -> RetryPolicy {
    RetryPolicy::default().timeout(Duration::from_secs(60))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instant_acme_heals_bad_nonces_and_waits_while_it_is_told_to() {
    let site = Site::start().await;
    let nonces: Vec<_> = [
        "newAccount",
        "newOrder",
        "authorization",
        "challenge",
        "finalize",
    ]
    .iter()
    .map(|step| site.fault(&format!("{step}:bad-nonce once")))
    .collect();
    let looks = site.fault("processing=2");
    let account = account(&site).await;
    let mut order = place(&account, "a.instant.test").await.unwrap();
    answer(&mut order).await;
    assert_eq!(
        order.poll_ready(&patient()).await.unwrap(),
        OrderStatus::Ready
    );
    let (csr, _) = cairn_testkit::acme::csr(&["a.instant.test"]);
    order.finalize_csr(&csr).await.unwrap();
    let chain = order.poll_certificate(&patient()).await.unwrap();
    assert!(chain.starts_with("-----BEGIN CERTIFICATE-----"));
    let unmet: Vec<_> = nonces
        .into_iter()
        .filter(|id| site.counts(*id).1 != 1)
        .collect();
    assert!(unmet.is_empty(), "{unmet:?}");
    // Finalize, and the two looks that it was made to take after it.
    assert!(site.counts(looks).1 >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instant_acme_reports_a_refusal_with_its_problem_and_an_order_that_fails() {
    let site = Site::start().await;
    let account = account(&site).await;
    site.fault("newOrder:429/rateLimited/30 once");
    let Err(Error::Api(problem)) = place(&account, "a.report.test").await else {
        panic!("the refusal is not seen");
    };
    assert_eq!(problem.status, Some(429));
    assert_eq!(
        problem.r#type.as_deref(),
        Some("urn:ietf:params:acme:error:rateLimited")
    );
    let mut order = place(&account, "a.report.test").await.unwrap();
    answer(&mut order).await;
    site.fault("order:end-order once");
    let Err(Error::Api(problem)) = order.poll_ready(&patient()).await else {
        panic!("the order's end is not seen");
    };
    assert!(problem.detail.unwrap().contains("told to"));
}
