//! Faults as text and as records of a scenario.

use cairn_ca::{
    config::Span,
    dev::{
        Action, Client, FAULTS, Fate, Fault, Hook, Pointer, Refusal, Scenario, Step, When,
        WrongChain,
    },
};
use http::{HeaderName, HeaderValue};
use proptest::{option, prelude::*, sample::select};

#[test]
fn each_row_of_the_table_is_read_from_its_example_and_written_back() {
    let mut wrong = Vec::new();
    for row in FAULTS {
        let value = (!row.value.is_empty()).then_some(row.example);
        match Action::parse(row.name, value) {
            Some(Ok(action)) => {
                let back = (action.name(), action.value());
                // Header names are lower case once read.
                let same = back.1.as_deref().map(str::to_ascii_lowercase)
                    == value.map(str::to_ascii_lowercase);
                if back.0 != row.name || !same {
                    wrong.push(format!("{}: {back:?}", row.name));
                }
            }
            other => wrong.push(format!("{}: {other:?}", row.name)),
        }
        // A value where there is none, and none where there is one.
        let refused = match value {
            Some(_) => Action::parse(row.name, None),
            None => Action::parse(row.name, Some("x")),
        };
        if !matches!(refused, Some(Err(_))) {
            wrong.push(format!("{} takes anything", row.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let of = |hook| FAULTS.iter().any(|row| row.hook == hook);
    assert!(of(Hook::Instead) && of(Hook::Before) && of(Hook::After));
}

#[test]
fn people_write_faults_as_short_as_they_can() {
    let rows = [
        ("bad-nonce=20%", "bad-nonce 20%"),
        ("bad-nonce 20%", "bad-nonce 20%"),
        ("finalize:503 once", "finalize:refuse=503 once"),
        ("429/rateLimited/30", "refuse=429/rateLimited/30"),
        ("cert:chain=empty nth=2", "certificate:chain=empty nth=2"),
        ("authz:cut first=1", "authorization:cut once"),
        ("  cut   always ", "cut"),
        ("down=90s", "down=90s"),
        ("down=120s", "down=2m"),
        ("json=/status=\"odd\"", "json=\"/status=\\\"odd\\\"\""),
        ("header=\"Retry-After: 5\"", "header=\"retry-after: 5\""),
        (
            "cut client=certbot account=x",
            "cut account=x client=certbot",
        ),
        ("body=\"\"", "body=\"\""),
    ];
    let mut wrong = Vec::new();
    for (text, want) in rows {
        let got = text.parse::<Fault>().map(|fault| fault.to_string());
        if got.as_deref() != Ok(want) {
            wrong.push((text, got));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_text_that_is_no_fault_is_refused_with_what_is_wrong() {
    let rows = [
        ("", "a fault is [STEP:]"),
        ("bad-nonse", "did you mean bad-nonce?"),
        ("xyzzyplugh", "there is no fault \"xyzzyplugh\""),
        (
            "ordre:cut",
            "there is no step \"ordre\"; did you mean order?",
        ),
        ("directory:bad-nonce", "bad-nonce strikes newAccount"),
        (
            "newOrder:chain=empty",
            "chain strikes certificate alone, not newOrder",
        ),
        ("chain=odd", "chain takes no-intermediate|other-issuer"),
        ("chain", "chain takes"),
        ("cut=1", "cut takes no value, not \"1\""),
        ("cut=0%", "\"0%\" is none of once"),
        ("bad-nonce=200%", "\"200%\" is none of once"),
        ("cut 101%", "\"101%\" is none of once"),
        ("cut nth=0", "is none of once"),
        ("cut often", "is none of once"),
        ("cut once 20%", "for the second time"),
        ("cut account=a account=b", "for the second time"),
        ("cut account=", "is none of once"),
        ("99", "refuse takes STATUS"),
        ("600", "refuse takes STATUS"),
        ("503/a b", "is none of once"),
        ("refuse=503/é", "refuse takes"),
        ("delay=5", "delay takes DURATION"),
        ("delay=-5s", "delay takes DURATION"),
        ("header=nocolon", "header takes NAME: VALUE"),
        ("header=\"Content-Length: 5\"", "header takes"),
        ("no-header=transfer-encoding", "no-header takes"),
        ("header=\"a: b\\r\\nc: d\"", "header takes"),
        ("json=status=1", "json takes POINTER=JSON"),
        ("json=/status=odd", "json takes"),
        ("no-json=/a~2", "no-json takes"),
        ("pad=4294967295", "pad takes"),
        ("drip=0/1s", "drip takes"),
        ("window=soon", "window takes START/END"),
        ("slow-signing=46s", "slow-signing takes DURATION"),
        (
            "order:slow-signing=1s",
            "slow-signing strikes finalize alone",
        ),
        ("body=\"open", "do not end well"),
        ("body=\"a\"b", "do not end well"),
    ];
    let mut wrong = Vec::new();
    for (text, want) in rows {
        match text.parse::<Fault>() {
            Err(error) if error.to_string().contains(want) => {}
            other => wrong.push((text, other.map_err(|e| e.to_string()))),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Three letters are like everything.
    let told = "foo".parse::<Fault>().unwrap_err().to_string();
    assert_eq!(told, "there is no fault \"foo\"");
}

#[test]
fn a_scenario_is_read_from_toml_and_from_json_and_nothing_else_is() {
    let toml = "seed = 7\n[[fault]]\nfault = \"refuse\"\nvalue = \"503//5\"\nstep = \"finalize\"\nwhen = \"once\"\n\
                [[fault]]\nfault = \"bad-nonce\"\nwhen = \"20%\"\nclient = \"lego\"\n";
    let json = r#"{"seed": 7, "fault": [
        {"fault": "refuse", "value": "503//5", "step": "finalize", "when": "once"},
        {"fault": "bad-nonce", "when": "20%", "client": "lego"}]}"#;
    let scenario = Scenario::parse(toml).unwrap();
    assert_eq!(scenario, Scenario::parse(json).unwrap());
    let texts: Vec<_> = scenario.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        ["finalize:refuse=503//5 once", "bad-nonce 20% client=lego"]
    );
    assert_eq!(scenario.seed, 7);
    let rows = [
        ("sead = 7", "cannot be read: line 1: unknown field"),
        ("seed = -1", "invalid value"),
        ("[[fault]]\nvalue = \"x\"", "missing field `fault`"),
        (
            "[[fault]]\nfault = \"cut\"\nstep = \"nowhere\"",
            "there is no step",
        ),
        (
            "[[fault]]\nfault = \"chain\"\nvalue = \"empty\"\nstep = \"order\"",
            "chain strikes",
        ),
        (
            "[[fault]]\nfault = \"cut\"\nwhen = \"often\"",
            "is none of once",
        ),
        (
            "[[fault]]\nfault = \"cut\"\nodd = 1",
            "line 3: unknown field",
        ),
        ("{\"seed\": ", "EOF"),
    ];
    for (text, want) in rows {
        let error = Scenario::parse(text).unwrap_err().to_string();
        assert!(error.contains(want), "{text}: {error}");
    }
}

fn header() -> impl Strategy<Value = HeaderName> {
    "[a-z][a-z0-9-]{0,12}"
        .prop_filter("frames", |n| {
            n != "content-length" && n != "transfer-encoding"
        })
        .prop_map(|name| name.parse().unwrap())
}

fn visible() -> impl Strategy<Value = HeaderValue> {
    "([!-~]([ -~]{0,20}[!-~])?)?".prop_map(|text| HeaderValue::from_str(&text).unwrap())
}

fn span() -> impl Strategy<Value = Span> {
    (0..3_000_000_000_u64).prop_map(Span::from_millis)
}

fn pointer() -> impl Strategy<Value = Pointer> {
    "(/([^=~\u{0}]|~0|~1){0,6}){0,3}".prop_filter_map("a pointer", |text| text.parse().ok())
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        proptest::collection::vec(inner, 0..3).prop_map(Into::into)
    })
}

fn action() -> BoxedStrategy<Action> {
    let refusal = (
        200..600_u16,
        option::of("[a-zA-Z]{1,12}"),
        option::of(visible()),
    );
    let refusal = refusal.prop_map(|(status, kind, retry_after)| Refusal {
        status,
        kind,
        retry_after,
    });
    let fates: Vec<_> = Fate::WORDS.iter().map(|(fate, _)| *fate).collect();
    let chains: Vec<_> = WrongChain::WORDS.iter().map(|(chain, _)| *chain).collect();
    let simple = vec![
        Action::BadNonce,
        Action::Cut,
        Action::OrderInvalid,
        Action::Lost,
    ];
    prop_oneof![
        select(simple).boxed(),
        refusal.prop_map(Action::Refuse).boxed(),
        span().prop_map(Action::Down).boxed(),
        span().prop_map(Action::Delay).boxed(),
        span().prop_map(Action::Advance).boxed(),
        (0..=45_000_u64)
            .prop_map(|millis| Action::SlowSigning(Span::from_millis(millis)))
            .boxed(),
        select(fates).prop_map(Action::Authorization).boxed(),
        (200..600_u16).prop_map(Action::Status).boxed(),
        (header(), visible())
            .prop_map(|(n, v)| Action::Header(n, v))
            .boxed(),
        header().prop_map(Action::NoHeader).boxed(),
        (pointer(), json())
            .prop_map(|(p, v)| Action::Json(p, v))
            .boxed(),
        pointer().prop_map(Action::NoJson).boxed(),
        any::<String>().prop_map(Action::Body).boxed(),
        (0..=256_u32 << 20).prop_map(Action::Pad).boxed(),
        any::<u32>().prop_map(Action::Processing).boxed(),
        select(chains).prop_map(Action::Chain).boxed(),
        ("[^/]{0,30}", ".{0,30}")
            .prop_map(|(s, e)| Action::Window(s, e))
            .boxed(),
        any::<u32>().prop_map(Action::CutAfter).boxed(),
        (1..u32::MAX, span())
            .prop_map(|(n, s)| Action::Drip(n, s))
            .boxed(),
    ]
    .boxed()
}

fn fault() -> impl Strategy<Value = Fault> {
    let when = prop_oneof![
        Just(When::Always),
        (1..u32::MAX).prop_map(When::First),
        (1..u32::MAX).prop_map(When::Nth),
        (1..=100_u8).prop_map(When::Percent),
    ];
    let client = option::of(".{1,20}".prop_map(Client::from));
    let account = option::of(".{1,20}");
    (
        action(),
        any::<prop::sample::Index>(),
        any::<bool>(),
        account,
        client,
        when,
    )
        .prop_map(|(action, index, anywhere, account, client, when)| {
            let row = FAULTS.iter().find(|row| row.name == action.name()).unwrap();
            let all: Vec<_> = Step::ALL.iter().map(|(step, _)| *step).collect();
            let steps = if row.steps.is_empty() {
                &all[..]
            } else {
                row.steps
            };
            Fault {
                step: (!anywhere).then(|| *index.get(steps)),
                account,
                client,
                when,
                ..Fault::new(action)
            }
        })
}

proptest! {
    #[test]
    fn a_fault_is_read_back_as_it_was_written(fault in fault()) {
        let text = fault.to_string();
        let read = text.parse::<Fault>();
        prop_assert_eq!(read.as_ref(), Ok(&fault), "{}", text);
        let scenario = Scenario { seed: 5, faults: vec![fault] };
        let json = serde_json::to_string(&scenario).unwrap();
        prop_assert_eq!(&Scenario::parse(&json).unwrap(), &scenario);
        let toml = toml::to_string(&scenario).unwrap();
        prop_assert_eq!(&Scenario::parse(&toml).unwrap(), &scenario);
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in ".{0,80}") {
        let _ = text.parse::<Fault>();
        let _ = Scenario::parse(&text);
    }
}
