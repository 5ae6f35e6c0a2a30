//! Tables of heads and bodies, and octets at random.

use proptest::prelude::*;

use super::*;

#[test]
fn heads_that_break_the_grammar_are_refused() {
    // T-CA-68
    let fault = |text: &str| parse_head(text.as_bytes()).unwrap_err();
    let not_http = [
        "<html>",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\0\0\x12\x04",
        "http/1.1 200 OK",
        "HTTP/2 200\r\n\r\n",
        "SSH-2.0-x\r\n",
    ];
    for text in not_http {
        assert!(matches!(fault(text), HttpFault::NotHttp(_)), "{text}");
    }
    let malformed = [
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1\t200 OK\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\n\r\n",
        "HTTP/1.1 200 OK\nServer: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nServer\r\n\r\n",
        "HTTP/1.1 200 OK\r\nServer : x\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: x\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: x\ry\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: x\ny\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\u{e4}: x\r\n\r\n",
    ];
    for text in malformed {
        assert!(matches!(fault(text), HttpFault::Malformed(_)), "{text:?}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: x\r\n".repeat(200));
    assert!(matches!(fault(&many), HttpFault::Malformed(_)));
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "A: x\r\n".repeat(4000));
    assert_eq!(fault(&endless), HttpFault::HeadTooLong);
}

#[test]
fn a_head_is_read_only_once_it_is_whole() {
    let text = b"HTTP/1.1 200 OK\r\nServer:  nginx \r\nX-Empty:\r\n\r\nbody";
    let end = text.len() - 4;
    for length in 0..end {
        assert_eq!(parse_head(&text[..length]), Ok(None), "{length}");
    }
    let head = parse_head(text).unwrap().unwrap();
    assert_eq!((head.status, head.minor, head.length), (200, 1, end));
    assert_eq!(head.header("server"), Some(b"nginx".as_slice()));
    assert_eq!(head.header("x-empty"), Some(b"".as_slice()));
    assert_eq!(head.header("location"), None);
    let bare = parse_head(b"HTTP/1.0 404\r\n\r\n").unwrap().unwrap();
    assert_eq!((bare.status, bare.minor), (404, 0));
}

#[test]
fn the_length_of_a_body_is_never_guessed() {
    // T-CA-68
    let framing = |headers: &str| {
        let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
        parse_head(text.as_bytes()).unwrap().unwrap().framing()
    };
    assert_eq!(framing("Content-Length: 87\r\n"), Ok(Framing::Length(87)));
    assert_eq!(
        framing("Content-Length: 5\r\nContent-Length: 5\r\n"),
        Ok(Framing::Length(5))
    );
    assert_eq!(
        framing("Transfer-Encoding: Chunked\r\n"),
        Ok(Framing::Chunked)
    );
    assert_eq!(
        framing("Content-Encoding: identity\r\n"),
        Ok(Framing::Close)
    );
    let mut wrong = Vec::new();
    for headers in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
    ] {
        let got = framing(headers);
        if !matches!(got, Err(HttpFault::Framing(_))) {
            wrong.push(format!("{headers:?}: {got:?}"));
        }
    }
    for headers in [
        "Content-Encoding: gzip\r\n",
        "Content-Encoding: br\r\nContent-Length: 1\r\n",
    ] {
        if framing(headers) != Err(HttpFault::Encoded) {
            wrong.push(headers.to_owned());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn collect(framing: Framing, parts: &[&[u8]]) -> Result<(bool, Vec<u8>), HttpFault> {
    let mut body = Body::new(framing);
    let mut done = false;
    for part in parts {
        done = body.push(part)?;
        if done {
            break;
        }
    }
    Ok((done, body.content().to_vec()))
}

#[test]
fn chunked_bodies_are_joined_and_broken_ones_refused() {
    // T-CA-68
    let whole = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
    assert_eq!(
        collect(Framing::Chunked, &[whole]),
        Ok((true, b"abcde".to_vec()))
    );
    let single: Vec<&[u8]> = whole.chunks(1).collect();
    assert_eq!(
        collect(Framing::Chunked, &single),
        Ok((true, b"abcde".to_vec()))
    );
    let mut wrong = Vec::new();
    for text in [
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "3\nabc",
        "3\r\nabcd",
        "3\r\nabc\n",
        "3\r\rabc",
        "fffffffffffffffff\r\n",
        "1;\0\r\n",
    ] {
        let got = collect(Framing::Chunked, &[text.as_bytes()]);
        if !matches!(got, Err(HttpFault::Framing(_))) {
            wrong.push(format!("{text:?}: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_body_grows_past_its_bound() {
    // T-CA-68
    let endless = vec![b'x'; 1 << 20];
    for framing in [
        Framing::Close,
        Framing::Length(u64::MAX),
        Framing::Length(1 << 60),
    ] {
        let (done, content) = collect(framing, &[&endless]).unwrap();
        assert!(done);
        assert_eq!(content.len(), BODY_MAX + 1, "{framing:?}");
    }
    let mut chunks = b"ffffffff\r\n".to_vec();
    chunks.extend_from_slice(&endless);
    let (done, content) = collect(Framing::Chunked, &[&chunks]).unwrap();
    assert!(done && content.len() == BODY_MAX + 1);
    let long_extension = format!("1;{}", "x".repeat(1 << 16));
    let part: Vec<&[u8]> = long_extension.as_bytes().chunks(1024).collect();
    assert!(matches!(
        collect(Framing::Chunked, &part),
        Err(HttpFault::Framing(_))
    ));
}

#[test]
fn a_body_that_ends_early_is_no_body() {
    // T-CA-68
    let mut body = Body::new(Framing::Length(10));
    assert_eq!(body.push(b"abc"), Ok(false));
    assert_eq!(body.end(), Err(HttpFault::Short));
    let mut body = Body::new(Framing::Chunked);
    assert_eq!(body.push(b"3\r\nabc\r\n"), Ok(false));
    assert_eq!(body.end(), Err(HttpFault::Short));
    let mut body = Body::new(Framing::Close);
    assert_eq!(body.push(b"abc"), Ok(false));
    assert_eq!(body.end(), Ok(()));
}

proptest! {
    #[test]
    fn no_octets_make_the_parsers_panic_and_splitting_changes_nothing(
        tail in proptest::collection::vec(any::<u8>(), 0..400),
        chunked in "[0-9a-f]{1,3}(;[a-z]{0,3})?\r\n[a-z\r\n0]{0,40}",
        at in 0_usize..40,
    ) {
        // T-CA-68
        let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
        text.extend_from_slice(&tail);
        if let Ok(Some(head)) = parse_head(&text) {
            let _ = head.framing();
            prop_assert!(head.length <= text.len());
        }
        let bytes = chunked.as_bytes();
        let (left, right) = bytes.split_at(at.min(bytes.len()));
        prop_assert_eq!(
            collect(Framing::Chunked, &[bytes]),
            collect(Framing::Chunked, &[left, right])
        );
    }
}
