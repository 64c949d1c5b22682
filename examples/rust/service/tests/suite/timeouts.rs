use std::time::Duration;

use crate::arrays::Problem;
use crate::client::{Exchange, post};
use crate::program::Program;

#[test]
fn a_body_that_stalls_loses_its_slot() {
    let program = Program::start(&[
        "--workers",
        "1",
        "--queue",
        "0",
        "--transfer-timeout",
        "0.5",
    ]);
    let mut exchange = Exchange::ask(program.address, "", 1000);
    assert!(exchange.refusal().is_none());
    exchange.send(&[0; 10]);
    let reply = exchange.reply().expect("the service says what was wrong");
    assert_eq!(reply.status, 408);
    assert!(
        reply.text().contains("10 of the body's 1000 bytes"),
        "{}",
        reply.text()
    );
    assert_eq!(program.metric("free_slots"), 1);
}

#[test]
fn a_head_that_stalls_loses_its_connection() {
    let program = Program::start(&["--transfer-timeout", "0.5"]);
    let mut exchange = Exchange::raw(program.address, b"POST /attention HTTP/1.1\r\nHost:");
    // A reply that the head took too long, or none: the connection ends.
    assert!(exchange.reply().map_or(true, |reply| reply.status == 408));
}

#[test]
fn an_answer_that_nobody_takes_loses_its_slot() {
    let program = Program::start(&["--workers", "1", "--queue", "0", "--transfer-timeout", "1"]);
    let body = Problem::of_a_large_answer().body();
    let mut exchange = Exchange::ask(program.address, "", body.len());
    assert!(exchange.refusal().is_none());
    exchange.send(&body);
    program.wait_for("answered_total", 1);
    program.wait_for("free_slots", 1);
    assert!(exchange.reply().is_err()); // cut off
}

#[test]
fn an_answer_that_is_taken_slowly_but_steadily_arrives() {
    let program = Program::start(&["--transfer-timeout", "1"]);
    let body = Problem::of_a_large_answer().body();
    let mut exchange = Exchange::ask(program.address, "", body.len());
    assert!(exchange.refusal().is_none());
    exchange.send(&body);
    // Four timeouts at 400 kB a second.
    let reply = exchange.slow_reply(20_000, Duration::from_millis(50), 80);
    assert_eq!(
        reply.expect("no timeout passed without progress").status,
        200
    );
}

#[test]
fn a_computation_that_takes_too_long_ends() {
    let program = Program::start(&["--workers", "1", "--queue", "0", "--timeout", "1"]);
    let reply = post(program.address, "", &Problem::endless().body());
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("within 1s"), "{}", reply.text());
    program.wait_for("free_slots", 1);
    assert_eq!(
        post(program.address, "", &Problem::new(1, 4, 4, 2).body()).status,
        200
    );
}
