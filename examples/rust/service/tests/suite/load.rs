//! More than the service can take, for long enough.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use subquad::Attention;

use crate::arrays::{Problem, elements};
use crate::client::{Exchange, post};
use crate::program::Program;

const WORKERS: u64 = 2;
const QUEUE: u64 = 2;
const CLIENTS: u64 = 24;
const REQUESTS: u64 = 8;
const MAX_ANSWER: u64 = 64 << 10;
const MAX_WORKSPACE: u64 = 8 << 20;
const MAX_HEADS: u64 = 1;
const CONNECTIONS: u64 = 32;

/// What clients saw.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    refused: AtomicU64,
    left: AtomicU64,
}

#[test]
fn under_load_memory_is_bounded_and_no_accepted_request_is_lost() {
    let [workers, queue, answer, workspace, heads, connections] = [
        WORKERS,
        QUEUE,
        MAX_ANSWER,
        MAX_WORKSPACE,
        MAX_HEADS,
        CONNECTIONS,
    ]
    .map(|number| number.to_string());
    let problems = [0, 1, 2, 3].map(|seed| Problem::new(seed, 16, 1 << 14, 32));
    let cases = problems.map(|problem| (problem.body(), problem.expected(&Attention::new())));
    let body = cases[0].0.len() as u64;
    let max_body = body.to_string();
    #[rustfmt::skip]
    let program = Program::start(&[
        "--workers", &workers, "--queue", &queue, "--max-body", &max_body, "--max-answer", &answer, "--max-workspace", &workspace,
        "--max-heads", &heads, "--connections", &connections,
    ]);
    // What is loaded and started once.
    assert_eq!(
        post(program.address, "", &Problem::new(9, 16, 64, 32).body()).status,
        200
    );
    let before = program.peak_memory();
    // The formula of the service's limits.
    let bound = (WORKERS + QUEUE) * (body + 2 * MAX_ANSWER)
        + WORKERS * (body + MAX_WORKSPACE + MAX_HEADS * 4_000 + 1_000_000)
        + CONNECTIONS * 200_000;
    assert!(bound < CLIENTS * body, "the load would not show a bound");

    let seen = Seen::default();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (program, cases, seen) = (&program, &cases, &seen);
            scope.spawn(move || {
                for request in 0..REQUESTS {
                    let (body, expected) = &cases[(client + request) as usize % cases.len()];
                    let leaves = (client + 3 * request) % 7 == 0;
                    insist(program, body, expected, leaves, seen);
                }
            });
        }
    });

    let [answered, refused, left] =
        [seen.answered, seen.refused, seen.left].map(AtomicU64::into_inner);
    assert_eq!(answered + left, CLIENTS * REQUESTS);
    assert!(refused > 0 && left > 0);
    program.wait_for("free_slots", WORKERS + QUEUE);
    assert_eq!(program.metric("refused_total"), refused);
    assert_eq!(program.metric("accepted_total"), 1 + answered + left);
    assert_eq!(
        program.metric("answered_total") + program.metric("left_total"),
        1 + answered + left
    );
    assert!(program.metric("left_total") <= left);
    let grown = program.peak_memory() - before;
    println!(
        "{answered} answered, {left} left, {refused} refused; memory grew by {grown} bytes, of {bound} allowed"
    );
    assert!(grown <= bound, "memory grew by {grown} bytes, of {bound}");
}

/// Ask until accepted; then leave, or see the right answer.
fn insist(program: &Program, body: &[u8], expected: &[f32], leaves: bool, seen: &Seen) {
    loop {
        let mut exchange = Exchange::ask(program.address, "", body.len());
        if let Some(reply) = exchange.refusal() {
            assert_eq!(reply.status, 503);
            seen.refused.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        exchange.send(body);
        if leaves {
            seen.left.fetch_add(1, Ordering::Relaxed);
        } else {
            let reply = exchange.reply().expect("what was accepted is answered");
            assert_eq!(
                reply.status,
                200,
                "{}",
                String::from_utf8_lossy(&reply.body)
            );
            assert_eq!(elements(&reply.body), expected);
            seen.answered.fetch_add(1, Ordering::Relaxed);
        }
        return;
    }
}
