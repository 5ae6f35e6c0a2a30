//! A fault of a subscriber's servers: its set-up, and the judge of what the subscriber is told of it.

use std::sync::Arc;

use cairn_testkit::acme::{Client, txt_value};
use serde_json::json;

/// One name with its challenge.
pub(crate) struct Case {
    /// Without `*.`.
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) key_authorization: String,
    pub(crate) thumbprint: String,
    pub(crate) account: String,
}

type Arrange<S> = Box<dyn Fn(&S, &Case) + Send + Sync>;

/// A fault, its set-up in a scene, and what is said of it; no type is success.
pub(crate) struct Row<S> {
    /// Its number, and which of several set-ups; or a word for it.
    pub(crate) label: String,
    pub(crate) name: String,
    pub(crate) challenge: &'static str,
    pub(crate) arrange: Arrange<S>,
    pub(crate) kind: &'static str,
    pub(crate) says: Vec<&'static str>,
}

impl Case {
    /// The words of a row with the real values in place of `{name}` and so on.
    pub(crate) fn fill(&self, words: &str) -> String {
        let length = self.key_authorization.len();
        words
            .replace("{name}", &self.name)
            .replace("{length}", &length.to_string())
            .replace("{more}", &(length + 1).to_string())
            .replace("{dot}", &(length - self.thumbprint.len()).to_string())
            .replace("{7}", &self.thumbprint[..7])
            .replace("{8}", &self.thumbprint[..8])
            .replace("{url}", &format!("http://{}{}", self.name, self.path))
            .replace("{path}", &self.path)
            .replace("{value}", &txt_value(&self.key_authorization))
            .replace("{thumbprint}", &self.thumbprint)
            .replace("{account}", &self.account)
    }

    /// The zone's apex: the last two labels.
    pub(crate) fn zone(&self) -> &str {
        let at = self.name.rmatch_indices('.').nth(1);
        at.map_or(&self.name, |(at, _)| &self.name[at + 1..])
    }
}

/// What is wrong with what is told of a row, if something is.
pub(crate) async fn judge<S>(client: Client, scene: Arc<S>, row: Row<S>) -> Result<(), String> {
    let placed = client.new_order(&[&row.name]).await.expect(201);
    let order = placed.location();
    let authorization = placed.json()["authorizations"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let challenge = client.challenge(&authorization, row.challenge).await;
    let case = Case {
        name: row.name.trim_start_matches("*.").to_owned(),
        path: format!("/.well-known/acme-challenge/{}", challenge.token),
        key_authorization: challenge.key_authorization.clone(),
        thumbprint: client.key.thumbprint(),
        account: client.kid.clone().unwrap(),
    };
    (row.arrange)(&scene, &case);
    client.post(&challenge.url, &json!({})).await.expect(200);
    let object = client.poll(&authorization, &["pending"]).await;
    let fail = |what: &str| Err(format!("{}: {what}: {object:#}", row.label));
    if row.kind.is_empty() {
        return match object["status"] == "valid" {
            true => Ok(()),
            false => fail("not valid"),
        };
    }
    let status = match row.kind {
        "unauthorized" | "caa" => 403,
        _ => 400,
    };
    let shown = &object["challenges"][0];
    let error = &shown["error"];
    if object["status"] != "invalid"
        || shown["status"] != "invalid"
        || error["type"] != format!("urn:ietf:params:acme:error:{}", row.kind)
        || error["status"] != status
    {
        return fail("another outcome");
    }
    let detail = error["detail"].as_str().unwrap_or_default();
    eprintln!("{}: {detail}", row.label);
    let fit = detail.starts_with(&format!("{}: ", row.name))
        && detail.len() <= 1300
        && !detail.chars().any(char::is_control)
        && !detail.contains("SECRET")
        && !detail.contains("<svg");
    if !fit {
        return fail("an unfit detail");
    }
    let missing: Vec<String> = row
        .says
        .iter()
        .map(|words| case.fill(words))
        .filter(|words| !detail.contains(words))
        .collect();
    if !missing.is_empty() {
        return fail(&format!("does not say {missing:#?}"));
    }
    // The order ends with the same words.
    let order = client.fetch(&order).await.expect(200).json();
    match order["status"] == "invalid" && order["error"].to_string().contains(&case.name) {
        true => Ok(()),
        false => fail(&format!("the order does not say why: {order:#}")),
    }
}
