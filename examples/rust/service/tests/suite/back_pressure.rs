use std::net::TcpStream;

use subquad::Attention;

use crate::arrays::{Problem, elements};
use crate::client::{Exchange, post};
use crate::program::Program;

#[test]
fn beyond_its_slots_the_service_refuses_at_once() {
    let program = Program::start(&["--workers", "1", "--queue", "1"]);
    let problem = Problem::new(2, 9, 9, 4);
    let body = problem.body();
    let mut accepted = [0, 1].map(|_| Exchange::ask(program.address, "", body.len()));
    assert!(
        accepted
            .iter_mut()
            .all(|exchange| exchange.refusal().is_none())
    );
    let reply = post(program.address, "", &body);
    assert_eq!(reply.status, 503);
    assert!(
        reply.head.to_ascii_lowercase().contains("retry-after: 1"),
        "{}",
        reply.head
    );
    for exchange in &mut accepted {
        exchange.send(&body);
        assert_eq!(
            elements(&exchange.reply().expect("an answer").body),
            problem.expected(&Attention::new())
        );
    }
    program.wait_for("free_slots", 2);
    assert_eq!(post(program.address, "", &body).status, 200);
}

#[test]
fn an_answer_keeps_its_slot_until_it_is_taken() {
    let program = Program::start(&["--workers", "1", "--queue", "0"]);
    let body = Problem::of_a_large_answer().body();
    let mut exchange = Exchange::ask(program.address, "", body.len());
    assert!(exchange.refusal().is_none());
    exchange.send(&body);
    program.wait_for("answered_total", 1);
    assert_eq!(program.metric("free_slots"), 0);
    assert_eq!(exchange.reply().expect("an answer").status, 200);
    program.wait_for("free_slots", 1);
}

#[test]
fn what_was_accepted_is_answered_though_the_service_shall_end() {
    let program = Program::start(&["--workers", "1", "--queue", "3"]);
    let problem = Problem::new(4, 9, 9, 4);
    let body = problem.body();
    let mut accepted = [0; 4].map(|_| Exchange::ask(program.address, "", body.len()));
    assert!(
        accepted
            .iter_mut()
            .all(|exchange| exchange.refusal().is_none())
    );
    program.terminate();
    while TcpStream::connect(program.address).is_ok() {
        std::thread::yield_now(); // until it no longer listens
    }
    for exchange in &mut accepted {
        exchange.send(&body);
        assert_eq!(
            elements(&exchange.reply().expect("an answer").body),
            problem.expected(&Attention::new())
        );
    }
    assert!(program.wait().success());
}
