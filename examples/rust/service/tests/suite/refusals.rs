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

/// Arrays without elements, of which a million heads take 200 bytes to ask for.
fn heads(shapes: [&[usize]; 3]) -> Vec<u8> {
    let [q, k, v] = shapes;
    encode(&[("q", q), ("k", k), ("v", v)].map(|(name, shape)| (name, Dtype::F32, shape, &[][..])))
}

#[test]
fn many_heads_without_elements_take_no_memory() {
    let program = Program::start(&["--workers", "1"]);
    // What is loaded and started once.
    assert_eq!(
        post(program.address, "?tol=0.1", &heads([&[2, 0, 1]; 3])).status,
        200
    );
    let before = program.peak_memory();
    let million: &[usize] = &[1_000_000, 0, 1];
    for (shapes, words) in [
        ([million; 3], ["q", "[1000000, 0, 1]", "4096"]),
        (
            [&[1000, 1000, 0, 1], million, million],
            ["q", "[1000, 1000, 0, 1]", "4096"],
        ),
        (
            [&[0, 0, 1], million, million],
            ["k", "[1000000, 0, 1]", "4096"],
        ),
        (
            [&[0, 0, 1], &[0, 0, 1], &[0, 4097, 0, 1]],
            ["v", "[0, 4097, 0, 1]", "4096"],
        ),
    ] {
        assert_refused(&program, "?tol=0.1", &heads(shapes), 413, &words);
    }
    let most: &[usize] = &[64, 64, 0, 1];
    assert_eq!(
        post(program.address, "?tol=0.1", &heads([most; 3])).status,
        200
    );
    let grown = program.peak_memory() - before;
    // The share of heads in the formula of the service's limits.
    assert!(grown < 4096 * 4000, "memory grew by {grown} bytes");
}

#[test]
fn the_report_counts_into_the_answer() {
    let program = Program::start(&["--max-answer", "10000"]);
    let many: &[usize] = &[200, 0, 1];
    assert_refused(
        &program,
        "?tol=0.1",
        &heads([many; 3]),
        413,
        &["report", "10000"],
    );
    assert_eq!(post(program.address, "", &heads([many; 3])).status, 200);
}

#[test]
fn a_header_is_refused_before_it_is_parsed() {
    let program = Program::start(&["--max-body", "10000000"]);
    let before = program.peak_memory();
    let ones = vec!["1"; 4_000_000].join(",");
    let header = format!(r#"{{"q":{{"dtype":"F32","shape":[{ones}],"data_offsets":[0,4]}}}}"#);
    let length = header.len();
    let mut body = (length as u64).to_le_bytes().to_vec();
    body.extend(header.as_bytes());
    body.extend([0; 4]);
    assert_refused(
        &program,
        "",
        &body,
        400,
        &["header", &length.to_string(), "16384"],
    );
    let grown = program.peak_memory() - before;
    assert!(
        grown < 2 * body.len() as u64,
        "memory grew by {grown} bytes"
    );
}

#[test]
fn a_refusal_repeats_little_of_what_was_sent() {
    let program = Program::start(&[]);
    let name = "ä".repeat(5000);
    let query = format!("?{}=1", "%C3%A4".repeat(2000));
    let header = format!(r#"{{"q":{{"dtype":"{name}","shape":[],"data_offsets":[0,0]}}}}"#);
    let mut body = (header.len() as u64).to_le_bytes().to_vec();
    body.extend(header.as_bytes());
    for (query, body) in [("", body), (&query, Vec::new())] {
        let reply = post(program.address, query, &body);
        assert_eq!(reply.status, 400);
        assert!(reply.text().contains("ää") && reply.text().ends_with(" ..\n"));
        assert!(reply.body.len() < 1100, "{}", reply.text());
    }
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
