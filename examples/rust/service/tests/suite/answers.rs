use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use subquad::Attention;

use crate::arrays::{Problem, elements, encode};
use crate::client::post;
use crate::program::Program;

#[test]
fn the_answer_has_the_bits_of_the_library() {
    let program = Program::start(&[]);
    let problem = Problem::new(3, 37, 101, 5);
    let reply = post(program.address, "", &problem.body());
    assert_eq!(reply.status, 200);
    assert_eq!(elements(&reply.body), problem.expected(&Attention::new()));
    let causal = Attention::new().causal(true).causal_offset(64).scale(0.5);
    let reply = post(
        program.address,
        "?causal=true&causal_offset=64&scale=0.5",
        &problem.body(),
    );
    assert_eq!(elements(&reply.body), problem.expected(&causal));
}

#[test]
fn the_answer_to_a_tolerance_has_its_report() {
    let program = Program::start(&[]);
    let problem = Problem::new(5, 3000, 3000, 4);
    let reply = post(program.address, "?causal=true&tol=0.25", &problem.body());
    assert_eq!(
        elements(&reply.body),
        problem.expected(&Attention::new().causal(true).tol(0.25))
    );
    let (_, metadata) = SafeTensors::read_metadata(&reply.body).expect("safetensors");
    let report = &metadata.metadata().as_ref().expect("metadata")["report"];
    assert!(
        report.starts_with('{') && report.contains("\"pairs\""),
        "{report}"
    );
}

#[test]
fn arrays_may_lie_askew_in_the_body() {
    let program = Program::start(&[]);
    let problem = Problem::new(7, 11, 13, 3);
    let aligned = problem.body();
    let length = u64::from_le_bytes(aligned[..8].try_into().unwrap());
    for spaces in 1..4 {
        let head_end = 8 + length as usize;
        let mut body = (length + spaces).to_le_bytes().to_vec();
        body.extend(&aligned[8..head_end]);
        body.extend(std::iter::repeat_n(b' ', spaces as usize));
        body.extend(&aligned[head_end..]);
        let reply = post(program.address, "", &body);
        assert_eq!(reply.status, 200);
        assert_eq!(elements(&reply.body), problem.expected(&Attention::new()));
    }
}

#[test]
fn float64_heads_and_batches_are_answered_in_kind() {
    let program = Program::start(&[]);
    let ones = [1.0_f64; 2 * 3 * 4 * 5];
    let data: &[u8] = bytemuck::cast_slice(&ones);
    let shape: &[usize] = &[2, 3, 4, 5];
    let body = encode(&["q", "k", "v"].map(|name| (name, Dtype::F64, shape, data)));
    let reply = post(program.address, "", &body);
    assert_eq!(reply.status, 200);
    let tensors = SafeTensors::deserialize(&reply.body).expect("safetensors");
    let o = tensors.tensor("o").unwrap();
    assert_eq!((o.dtype(), o.shape(), o.data()), (Dtype::F64, shape, data)); // means of ones are ones
    assert_eq!(tensors.tensor("lse").unwrap().shape(), [2, 3, 4]);
}

#[test]
fn a_problem_without_queries_has_an_empty_answer() {
    let program = Program::start(&[]);
    let reply = post(program.address, "", &Problem::new(1, 0, 5, 2).body());
    assert_eq!(reply.status, 200);
    assert!(elements(&reply.body).is_empty());
}
