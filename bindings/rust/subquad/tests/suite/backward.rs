//! The gradients against their formula in f64, pair by pair, with the round-off of every step added up beside them.

use ndarray::{Array, Array2, Array4, Dimension, Ix4, array};
use subquad::{Attention, Gradients, GradientsMut};

use crate::budget::{assert_within, roundoff_o, roundoff_probability, roundoff_sum, unit};
use crate::oracle::row;
use crate::problem::{Extents, Problem, Real, uniform};

in_both_precisions!(
    any_number_of_positions,
    groups_of_heads,
    biases_and_ranges,
    large_logits,
    only_what_is_asked_for,
    slices_of_keys_add_up,
);

/// An array of exact values and what a computation of them may err.
struct Bounded<D: Dimension> {
    value: Array<f64, D>,
    budget: Array<f64, D>,
}

impl<D: Dimension> Bounded<D> {
    fn zeros(shape: D) -> Self {
        Self {
            value: Array::zeros(shape.clone()),
            budget: Array::zeros(shape),
        }
    }

    fn add<I: ndarray::NdIndex<D> + Clone>(&mut self, index: I, value: f64, budget: f64) {
        self.value[index.clone()] += value;
        self.budget[index] += budget;
    }
}

struct Expected {
    dq: Bounded<ndarray::Ix4>,
    dk: Bounded<ndarray::Ix4>,
    dv: Bounded<ndarray::Ix4>,
    d_lag_bias: Option<Bounded<ndarray::Ix2>>,
}

fn expected<T: Real>(problem: &Problem<T>, d_o: &Array4<T>) -> Expected {
    let Problem { q, k, v, .. } = problem;
    let mut sums = Expected {
        dq: Bounded::zeros(q.raw_dim()),
        dk: Bounded::zeros(k.raw_dim()),
        dv: Bounded::zeros(v.raw_dim()),
        d_lag_bias: problem
            .lag_bias
            .as_ref()
            .map(|bias| Bounded::zeros(bias.raw_dim())),
    };
    let (batch, heads, queries, _) = q.dim();
    for b in 0..batch {
        for h in 0..heads {
            for i in 0..queries {
                add_row(&mut sums, problem, d_o, [b, h, i]);
            }
        }
    }
    sums
}

/// Add what one query contributes. A term of a sum over `terms` of them brings its share of the sum's round-off.
fn add_row<T: Real>(
    sums: &mut Expected,
    problem: &Problem<T>,
    d_o: &Array4<T>,
    [b, h, i]: [usize; 3],
) {
    let (batch, heads, queries, d) = problem.q.dim();
    let d_v = problem.v.dim().3;
    let key_head = problem.key_head(h);
    let row = row(problem, b, h, i);
    let d_o = |column: usize| -> f64 { d_o[[b, h, i, column]].into() };
    let scale = problem.scale();
    let probability_error = roundoff_probability::<T>(&row, d);
    let (keys, group) = (row.keys.len(), heads / problem.k.dim().1);

    let own: f64 = (0..d_v).map(|c| d_o(c) * row.o[c]).sum();
    let own_size: f64 = (0..d_v).map(|c| (d_o(c) * row.o[c]).abs()).sum();
    let own_inherited: f64 = (0..d_v)
        .map(|c| d_o(c).abs() * roundoff_o::<T>(&row, d, c))
        .sum();
    let own_error = own_inherited + roundoff_sum::<T>(d_v, own_size + own_inherited);

    for (&j, &p) in row.keys.iter().zip(&row.weights) {
        let value = |c: usize| -> f64 { problem.v[[b, key_head, j, c]].into() };
        let inner: f64 = (0..d_v).map(|c| d_o(c) * value(c)).sum();
        let inner_size: f64 = (0..d_v).map(|c| (d_o(c) * value(c)).abs()).sum();
        let p_error = p * probability_error + T::LEAST_WEIGHT;
        let difference = inner - own;
        let difference_error = own_error
            + roundoff_sum::<T>(d_v, inner_size)
            + 3.0 * unit::<T>() * (difference.abs() + own_error);
        let ds = p * difference;
        let ds_error =
            p_error * difference.abs() + (p + p_error) * difference_error + T::LEAST_WEIGHT;

        for l in 0..d {
            let (q, k): (f64, f64) = (
                problem.q[[b, h, i, l]].into(),
                problem.k[[b, key_head, j, l]].into(),
            );
            let term = |x: f64, terms: usize| {
                let inherited = (scale * ds_error * x).abs();
                let size = (scale * ds * x).abs() + inherited;
                (scale * ds * x, inherited + roundoff_sum::<T>(terms, size))
            };
            let (dq, dq_budget) = term(k, keys);
            sums.dq.add([b, h, i, l], dq, dq_budget);
            let (dk, dk_budget) = term(q, queries * group);
            sums.dk.add([b, key_head, j, l], dk, dk_budget);
        }
        for c in 0..d_v {
            let inherited = p_error * d_o(c).abs();
            let size = p * d_o(c).abs() + inherited;
            let budget = inherited + roundoff_sum::<T>(queries * group, size);
            sums.dv.add([b, key_head, j, c], p * d_o(c), budget);
        }
        if let (Some(sum), Some(index)) = (&mut sums.d_lag_bias, problem.bias_index(h, i, j)) {
            let budget = ds_error + roundoff_sum::<T>(batch * heads * queries, ds.abs() + ds_error);
            sum.add(index, ds, budget);
        }
    }
}

fn assert_right<T: Real>(problem: &Problem<T>) {
    let Problem { q, k, v, .. } = problem;
    let attention = problem.attention();
    let output = attention.run(q, k, v).unwrap();
    let d_o = uniform(output.o.raw_dim(), 9);
    let gradients = attention
        .backward(q, k, v, &output.o, &output.lse, &d_o)
        .unwrap();
    assert_gradients(&gradients, problem, &d_o);
    assert_eq!(gradients.d_lag_bias.is_some(), problem.lag_bias.is_some());
}

/// Those gradients that there are.
pub fn assert_gradients<T: Real>(
    gradients: &Gradients<T, Ix4>,
    problem: &Problem<T>,
    d_o: &Array4<T>,
) {
    let Expected {
        dq,
        dk,
        dv,
        d_lag_bias,
    } = expected(problem, d_o);
    assert_within("dq", &gradients.dq, &dq.value, &dq.budget);
    assert_within("dk", &gradients.dk, &dk.value, &dk.budget);
    assert_within("dv", &gradients.dv, &dv.value, &dv.budget);
    if let (Some(actual), Some(expected)) = (&gradients.d_lag_bias, &d_lag_bias) {
        assert_within("d_lag_bias", actual, &expected.value, &expected.budget);
    }
}

fn any_number_of_positions<T: Real>() {
    for n in [0, 1, 2, 13, 37, 63, 64, 65, 101] {
        let problem = Problem::<T>::new(Extents::square(n));
        assert_right(&problem);
        assert_right(&problem.causal(None));
    }
    for (queries, keys) in [(3, 29), (29, 3), (0, 4), (4, 0)] {
        let extents = Extents {
            queries,
            keys,
            ..Extents::square(0)
        };
        assert_right(&Problem::<T>::new(extents));
        let aligned = keys as i64 - queries as i64;
        assert_right(&Problem::<T>::new(extents).causal(Some(aligned)));
        assert_right(&Problem::<T>::new(extents).causal(Some(-1)));
    }
}

fn groups_of_heads<T: Real>() {
    for (heads, key_heads) in [(1, 1), (3, 1), (4, 2), (4, 4)] {
        let extents = Extents {
            batch: 2,
            heads,
            key_heads,
            d: 7,
            d_v: 6,
            ..Extents::square(17)
        };
        assert_right(&Problem::<T>::new(extents).causal(None));
    }
}

fn biases_and_ranges<T: Real>() {
    let extents = Extents {
        batch: 3,
        heads: 4,
        key_heads: 2,
        queries: 11,
        keys: 15,
        ..Extents::square(0)
    };
    for rows in [1, 4] {
        let mut problem = Problem::<T>::new(extents).causal(Some(4)).biased(rows);
        assert_right(&problem);
        problem.key_ranges = Some(array![[0, 9], [4, 4], [6, 40]]);
        assert_right(&problem);
    }
}

fn large_logits<T: Real>() {
    let mut problem = Problem::<T>::new(Extents::square(23)).causal(None);
    problem.scale = Some(1e3);
    assert_right(&problem);
}

fn only_what_is_asked_for<T: Real>() {
    let problem = Problem::<T>::new(Extents::square(19))
        .causal(None)
        .biased(1);
    let Problem { q, k, v, .. } = &problem;
    let attention = problem.attention();
    let output = attention.run(q, k, v).unwrap();
    let all = attention
        .backward(q, k, v, &output.o, &output.lse, v)
        .unwrap();
    let (mut dq, mut dk, mut dv) = (q.clone(), k.clone(), v.clone());
    let mut d_lag_bias =
        Array2::from_elem(problem.lag_bias.as_ref().unwrap().raw_dim(), T::of(0.0));
    let requests = [
        GradientsMut {
            dq: Some(&mut dq),
            ..GradientsMut::default()
        },
        GradientsMut {
            dk: Some(&mut dk),
            dv: Some(&mut dv),
            ..GradientsMut::default()
        },
        GradientsMut {
            d_lag_bias: Some(&mut d_lag_bias),
            ..GradientsMut::default()
        },
    ];
    for request in requests {
        attention
            .backward_into(q, k, v, &output.o, &output.lse, v, request)
            .unwrap();
    }
    assert!(dq == all.dq && dk == all.dk && dv == all.dv);
    assert_eq!(Some(d_lag_bias), all.d_lag_bias);
}

/// With o and lse of the whole, a slice's dk and dv are final and the dq of the slices add up.
fn slices_of_keys_add_up<T: Real>() {
    let problem = Problem::<T>::new(Extents {
        heads: 2,
        ..Extents::square(31)
    })
    .causal(None);
    let Problem { q, k, v, .. } = &problem;
    let output = problem.attention().run(q, k, v).unwrap();
    let d_o = uniform(output.o.raw_dim(), 9);
    let Expected { dq, dk, dv, .. } = expected(&problem, &d_o);
    let mut dq_sum = Array4::<f64>::zeros(q.raw_dim());
    for (start, end) in [(0, 12), (12, 13), (13, 31)] {
        let part = ndarray::s![.., .., start..end, ..];
        let attention = Attention::new()
            .causal(true)
            .causal_offset(0)
            .key_offset(start as i64);
        let gradients = attention
            .backward(
                q,
                &k.slice(part),
                &v.slice(part),
                &output.o,
                &output.lse,
                &d_o,
            )
            .unwrap();
        assert_within(
            "dk",
            &gradients.dk,
            &dk.value.slice(part),
            &dk.budget.slice(part),
        );
        assert_within(
            "dv",
            &gradients.dv,
            &dv.value.slice(part),
            &dv.budget.slice(part),
        );
        dq_sum += &gradients.dq.mapv(Into::into);
    }
    assert_within("dq", &dq_sum, &dq.value, &dq.budget);
}

#[test]
fn rows_that_see_nothing_have_no_gradient() {
    let x = Array2::<f64>::ones((4, 3));
    let attention = Attention::new().causal(true).causal_offset(-4);
    let output = attention.run(&x, &x, &x).unwrap();
    let gradients = attention
        .backward(&x, &x, &x, &output.o, &output.lse, &x)
        .unwrap();
    for gradient in [gradients.dq, gradients.dk, gradients.dv] {
        assert!(gradient.iter().all(|&x| x == 0.0));
    }
}
