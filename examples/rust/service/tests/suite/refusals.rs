use safetensors::tensor::Dtype;

use crate::arrays::{Problem, encode};
use crate::client::{Exchange, post};
use crate::program::Program;

/// A refusal's status, and what its text must name.
fn assert_refused(program: &Program, query: &str, body: &[u8], status: u16, words: &[&str]) {
    let reply = post(program.address, query, body);
    assert_eq!(reply.status, status, "{}", reply.text());
    for word in words {
        assert!(
            reply.text().contains(word),
            "{word:?} is not in: {}",
            reply.text()
        );
    }
}

#[test]
fn a_bad_request_is_told_what_is_wrong() {
    let program = Program::start(&[]);
    let good = Problem::new(1, 4, 6, 3);
    let with = |change: fn(&mut Problem)| {
        let mut problem = Problem::new(1, 4, 6, 3);
        change(&mut problem);
        problem.body()
    };
    let ones = [1_u8; 16];
    let of_type = |q| {
        encode(&[
            ("q", q, &[2, 1], &ones[..8]),
            ("k", Dtype::F32, &[2, 1], &ones[..8]),
            ("v", Dtype::F32, &[2, 1], &ones[..8]),
        ])
    };
    let cases: [(&str, Vec<u8>, &[&str]); 12] = [
        ("", Vec::new(), &["safetensors"]),
        ("", b"GIF89a, or so".to_vec(), &["safetensors"]),
        ("", good.body()[..40].to_vec(), &["safetensors"]),
        (
            "",
            encode(&[("q", Dtype::F32, &[1, 1], &ones[..4])]),
            &["k"],
        ),
        ("", of_type(Dtype::I32), &["q is I32", "F64"]),
        (
            "",
            with(|p| p.k = Problem::new(1, 4, 6, 2).k),
            &["ERR_SHAPE", "k"],
        ),
        (
            "",
            with(|p| p.v[[5, 2]] = f32::NAN),
            &["ERR_NONFINITE", "v"],
        ),
        ("?causal=true", good.body(), &["ERR_CONFLICT", "offset"]),
        ("?tol=-1", good.body(), &["ERR_VALUE", "tol", "-1"]),
        ("?causal=perhaps", good.body(), &["causal"]),
        ("?masked=true", good.body(), &["masked"]),
        ("?scale=1&scale=2", good.body(), &["scale"]),
    ];
    for (query, body, words) in &cases {
        assert_refused(&program, query, body, 400, words);
    }
    assert_eq!(post(program.address, "", &good.body()).status, 200);
}

#[test]
fn what_is_too_large_is_refused_before_it_takes_memory() {
    let program = Program::start(&[
        "--max-body",
        "1000",
        "--max-answer",
        "2000",
        "--max-workspace",
        "1",
    ]);
    let mut exchange = Exchange::ask(program.address, "", 1001);
    let reply = exchange.refusal().expect("the body is not wanted");
    assert_eq!(reply.status, 413);
    assert!(reply.text().contains("1001") && reply.text().contains("1000"));
    assert_eq!(program.metric("accepted_total"), 0);
    // 20 queries and 30 columns of values are few bytes, and 20 x (30 + 1) x 4 of o and lse more than allowed.
    let zeros = [0; 120];
    let body = encode(&[
        ("q", Dtype::F32, &[20, 1], &zeros[..80]),
        ("k", Dtype::F32, &[1, 1], &zeros[..4]),
        ("v", Dtype::F32, &[1, 30], &zeros),
    ]);
    assert_refused(&program, "", &body, 413, &["[20, 1]", "[1, 30]", "2000"]);
    assert_refused(
        &program,
        "",
        &Problem::new(1, 8, 8, 2).body(),
        413,
        &["ERR_WORKSPACE"],
    );
}

#[test]
fn the_length_is_stated_and_the_route_known() {
    let program = Program::start(&[]);
    let status = |head: &str| {
        Exchange::raw(program.address, head.as_bytes())
            .reply()
            .expect("a reply")
            .status
    };
    assert_eq!(
        status(
            "POST /attention HTTP/1.1\r\nHost: subquad\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        411
    );
    assert_eq!(
        status("GET /attention HTTP/1.1\r\nHost: subquad\r\n\r\n"),
        405
    );
    assert_eq!(
        status("GET /softmax HTTP/1.1\r\nHost: subquad\r\n\r\n"),
        404
    );
}
