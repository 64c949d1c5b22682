use crate::arrays::Problem;
use crate::client::{Exchange, post};
use crate::program::Program;

/// The slot of a computation is free again only when it has ended.
#[test]
fn a_computation_ends_when_its_client_leaves() {
    let program = Program::start(&["--workers", "1", "--queue", "0"]);
    let body = Problem::endless().body();
    let mut exchange = Exchange::ask(program.address, "", body.len());
    assert!(exchange.refusal().is_none());
    exchange.send(&body);
    program.wait_for("free_workers", 0);
    // While it computes, nothing else is accepted.
    assert_eq!(post(program.address, "", &body).status, 503);
    assert_eq!(program.metric("left_total"), 0);
    drop(exchange);
    program.wait_for("left_total", 1);
    program.wait_for("free_slots", 1);
    assert_eq!(
        post(program.address, "", &Problem::new(1, 4, 4, 2).body()).status,
        200
    );
}

#[test]
fn a_client_that_leaves_the_queue_or_its_own_body_frees_its_slot() {
    let program = Program::start(&["--workers", "1", "--queue", "2"]);
    let body = Problem::endless().body();
    let leave_after = |sent: usize| {
        let mut exchange = Exchange::ask(program.address, "", body.len());
        assert!(exchange.refusal().is_none());
        exchange.send(&body[..sent]);
        exchange
    };
    let clients = [body.len(), body.len(), 1000].map(leave_after);
    program.wait_for("free_workers", 0);
    assert_eq!(program.metric("free_slots"), 0);
    drop(clients);
    program.wait_for("left_total", 3);
    program.wait_for("free_slots", 3);
}

/// Bytes after the body wait for the answer, and hide that nothing follows.
#[test]
fn a_client_that_leaves_its_next_request_is_computed_for_until_the_timeout() {
    let program = Program::start(&["--workers", "1", "--queue", "0", "--timeout", "2"]);
    let body = Problem::endless().body();
    let mut exchange = Exchange::ask(program.address, "", body.len());
    assert!(exchange.refusal().is_none());
    exchange.send(&body);
    exchange.send(b"POST /attention");
    program.wait_for("free_workers", 0);
    drop(exchange);
    program.wait_for("free_slots", 1);
    assert_eq!(program.metric("answered_total"), 1);
}
