//! Views of every kind of strides, read and written where they lie.

use ndarray::{Array1, Array2, Array3, Array4, ArrayViewD, Axis, Slice, s};
use subquad::Attention;

use crate::budget::assert_within;
use crate::oracle::forward;
use crate::problem::{Extents, Problem, Real};

in_both_precisions!(
    strided_and_reversed_inputs,
    broadcast_inputs,
    strided_and_reversed_outputs,
    strided_options,
);

const EXTENTS: Extents = Extents {
    batch: 2,
    heads: 4,
    key_heads: 2,
    queries: 7,
    keys: 9,
    d: 5,
    d_v: 3,
};

/// The same numbers in another layout; `show` takes the view of it that has the shape of `x`.
pub fn relaid<T: Real>(x: &Array4<T>, kind: &str) -> Array4<T> {
    match kind {
        "column-major" => {
            let mut other = Array4::from_elem(ndarray::ShapeBuilder::f(x.raw_dim()), T::of(0.0));
            other.assign(x);
            other
        }
        "heads inside rows" => {
            let inside = x.view().permuted_axes([0, 2, 1, 3]);
            let stored = inside.as_standard_layout().into_owned();
            stored.permuted_axes([0, 2, 1, 3])
        }
        "every second" => {
            let mut wide = Array4::from_elem(x.raw_dim() * 2, T::of(f64::NAN));
            wide.slice_mut(s![..;2, ..;2, ..;2, ..;2]).assign(x);
            wide.slice_move(s![..;2, ..;2, ..;2, ..;2])
        }
        reversed => {
            let axis = Axis(reversed.strip_prefix("reversed ").unwrap().parse().unwrap());
            let mut other = x.clone();
            other.invert_axis(axis);
            let mut stored = other.as_standard_layout().into_owned();
            stored.invert_axis(axis);
            stored
        }
    }
}

pub const LAYOUTS: [&str; 7] = [
    "column-major",
    "heads inside rows",
    "every second",
    "reversed 0",
    "reversed 1",
    "reversed 2",
    "reversed 3",
];

fn strided_and_reversed_inputs<T: Real>() {
    let plain = Problem::<T>::new(EXTENTS).causal(Some(2));
    let expected = forward(&plain);
    for kind in LAYOUTS {
        let [q, k, v] = [&plain.q, &plain.k, &plain.v].map(|x| relaid(x, kind));
        assert_eq!(q, plain.q);
        assert_ne!(q.strides(), plain.q.strides());
        let output = plain.attention().run(&q, &k, &v).unwrap();
        assert_within(kind, &output.o, &expected.o, &expected.o_budget);
        assert_within(kind, &output.lse, &expected.lse, &expected.lse_budget);
    }
}

fn broadcast_inputs<T: Real>() {
    let mut problem = Problem::<T>::new(EXTENTS);
    let one = |x: &Array4<T>, axis: usize| x.slice_axis(Axis(axis), Slice::from(..1)).to_owned();
    let (q, k, v) = (one(&problem.q, 0), one(&problem.k, 1), one(&problem.v, 2));
    let (q_all, k_all, v_all) = (
        q.broadcast(problem.q.raw_dim()).unwrap(),
        k.broadcast(problem.k.raw_dim()).unwrap(),
        v.broadcast(problem.v.raw_dim()).unwrap(),
    );
    (problem.q, problem.k, problem.v) = (q_all.to_owned(), k_all.to_owned(), v_all.to_owned());
    let expected = forward(&problem);
    let output = problem.attention().run(&q_all, &k_all, &v_all).unwrap();
    assert_within("o", &output.o, &expected.o, &expected.o_budget);
    assert_within("lse", &output.lse, &expected.lse, &expected.lse_budget);
}

fn strided_and_reversed_outputs<T: Real>() {
    let problem = Problem::<T>::new(EXTENTS);
    let expected = forward(&problem);
    let Extents {
        batch,
        heads,
        queries,
        d_v,
        ..
    } = EXTENTS;
    let gap = T::of(-77.0);
    let mut wide = Array4::from_elem((batch, queries, heads, 2 * d_v + 1), gap);
    let mut lse = Array3::from_elem((queries, heads, batch), gap);
    let mut o = wide.view_mut().permuted_axes([0, 2, 1, 3]);
    let mut o = o.slice_mut(s![.., ..;-1, ..;-1, 1..;2]);
    let mut lse = lse.view_mut().reversed_axes();
    let attention = problem.attention();
    attention
        .run_into(&problem.q, &problem.k, &problem.v, &mut o, Some(&mut lse))
        .unwrap();
    assert_within("o", &o, &expected.o, &expected.o_budget);
    assert_within("lse", &lse, &expected.lse, &expected.lse_budget);
    let between = wide.slice(s![.., .., .., ..;2]);
    assert!(between.iter().all(|&x| x == gap));
}

fn strided_options<T: Real>() {
    let mut problem = Problem::<T>::new(EXTENTS).causal(Some(2)).biased(4);
    problem.key_ranges = Some(ndarray::array![[1, 8], [0, 5]]);
    let expected = forward(&problem);
    let mut bias = problem.lag_bias.clone().unwrap();
    bias.invert_axis(Axis(1));
    let stored = bias.as_standard_layout().into_owned();
    let bias: ndarray::ArrayView2<T> = stored.slice(s![.., ..;-1]);
    let ranges = problem.key_ranges.clone().unwrap().reversed_axes();
    let ranges = ranges.as_standard_layout().into_owned().reversed_axes();
    let output = problem
        .attention()
        .lag_bias(&bias)
        .key_ranges(&ranges)
        .run(&problem.q, &problem.k, &problem.v)
        .unwrap();
    assert_within("o", &output.o, &expected.o, &expected.o_budget);
}

#[test]
fn views_of_any_ownership_are_accepted() {
    let owned = Array2::<f32>::eye(3);
    let shared = owned.to_shared();
    let cow = ndarray::CowArray::from(owned.view());
    let output = Attention::new().run(&owned, &shared, &cow).unwrap();
    let dynamic: ArrayViewD<f32> = owned.view().into_dyn();
    let again = Attention::new().run(&dynamic, &dynamic, &dynamic).unwrap();
    assert_eq!(output.o.into_dyn(), again.o);
    let mut lse = Array1::zeros(3);
    let mut o = Array2::zeros((3, 3));
    let report = Attention::new().run_into(&owned, &shared, &cow, &mut o, Some(&mut lse));
    assert!(report.is_ok());
    assert_eq!(output.lse, lse);
}
