//! Refused calls: the code, and a text that names the argument and the value.

use ndarray::{Array1, Array2, Array3, Array4, Array5, array};
use subquad::{Attention, Context, ConvBasis, ConvOptions, FitOptions, RecoverOptions, sys};

use super::logits::Logits;
use crate::errors::assert_refused;

fn basis() -> ConvBasis<f64> {
    Logits::new([1, 2, 3, 20], 1).basis()
}

#[test]
fn starts_out_of_order_or_range() {
    let kernels = Array2::<f32>::ones((2, 5));
    for (starts, words) in [
        (array![3_i64, 1], ["starts", "1"]),
        (array![2, 2], ["starts", "2"]),
        (array![-4, 2], ["starts", "-4"]),
        (array![0, 6], ["starts", "6"]),
        (array![5, 2], ["starts", "2"]),
    ] {
        let result = ConvBasis::new(&starts, &kernels, &ConvOptions::new());
        assert_refused(result, sys::SUBQUAD_ERR_VALUE, &words);
    }
}

#[test]
fn starts_and_kernels_that_do_not_fit_together() {
    let kernels = Array2::<f32>::ones((2, 5));
    let result = ConvBasis::new(&array![0_i64, 1, 2], &kernels, &ConvOptions::new());
    assert_refused(result, sys::SUBQUAD_ERR_SHAPE, &["starts", "3"]);
    let deep = Array5::<f32>::ones((1, 1, 1, 1, 1));
    let starts = Array4::<i64>::zeros((1, 1, 1, 1));
    let result = ConvBasis::new(&starts, &deep, &ConvOptions::new());
    assert_refused(result, sys::SUBQUAD_ERR_SHAPE, &["kernels", "5"]);
    let result = ConvBasis::toeplitz(&ndarray::arr0(1.0_f64), &ConvOptions::new());
    assert_refused(result, sys::SUBQUAD_ERR_SHAPE, &["1"]);
}

#[test]
fn kernels_that_are_not_finite() {
    let mut kernels = Array3::<f64>::ones((2, 2, 5));
    kernels[[1, 1, 2]] = f64::NAN;
    let starts = Array2::from_shape_fn((2, 2), |(_, r)| r as i64);
    let result = ConvBasis::new(&starts, &kernels, &ConvOptions::new());
    assert_refused(
        result,
        sys::SUBQUAD_ERR_NONFINITE,
        &["kernels[1, 1, 2]", "nan"],
    );
    let large = array![[f64::MAX, 0.0, 0.0], [f64::MAX, 0.0, 0.0]];
    let result = ConvBasis::new(&array![0_i64, 1], &large, &ConvOptions::new());
    assert_refused(result, sys::SUBQUAD_ERR_OVERFLOW, &["kernels"]);
}

#[test]
fn columns_of_more_heads_than_memory_holds() {
    // Neither empty arrays nor broadcast views take memory.
    let options = ConvOptions::new();
    for heads in [1_usize << 40, 1 << 61] {
        let columns = Array2::<f64>::zeros((heads, 0));
        assert_refused(
            ConvBasis::toeplitz(&columns, &options),
            sys::SUBQUAD_ERR_SIZE,
            &[&heads.to_string()],
        );
    }
    let one = Array2::<f64>::ones((1, 1));
    let columns = one.broadcast((1 << 61, 1)).unwrap();
    assert_refused(
        ConvBasis::toeplitz(&columns, &options),
        sys::SUBQUAD_ERR_SIZE,
        &[&(1_u64 << 61).to_string()],
    );
}

#[test]
fn matrices_that_are_not_lower_triangular() {
    let mut h = Array2::<f64>::eye(4);
    h[[1, 3]] = 0.5;
    let result = ConvBasis::from_dense(&h, &ConvOptions::new());
    assert_refused(result, sys::SUBQUAD_ERR_VALUE, &["h", "1, 3", "0.5"]);
    let result = ConvBasis::from_dense(&Array2::<f64>::zeros((4, 5)), &ConvOptions::new());
    assert_refused(result, sys::SUBQUAD_ERR_SHAPE, &["h", "4", "5"]);
    h[[1, 3]] = f64::NAN;
    let result = ConvBasis::from_dense(&h, &ConvOptions::new());
    assert_refused(result, sys::SUBQUAD_ERR_NONFINITE, &["h", "1, 3"]);
}

#[test]
fn parameters_of_recovery() {
    let x = Array2::<f64>::ones((30, 3));
    let recover = |options: RecoverOptions<'_>| ConvBasis::recover(&x, &x, &options);
    let value = sys::SUBQUAD_ERR_VALUE;
    assert_refused(
        recover(RecoverOptions::new(2, 31, 1.0)),
        value,
        &["conv_window", "31", "30"],
    );
    assert_refused(
        recover(RecoverOptions::new(2, 0, 1.0)),
        value,
        &["conv_window", "0"],
    );
    assert_refused(
        recover(RecoverOptions::new(2, 4, 0.0)),
        value,
        &["conv_delta", "0"],
    );
    assert_refused(
        recover(RecoverOptions::new(2, 4, -1.0)),
        value,
        &["conv_delta", "-1"],
    );
    assert_refused(
        recover(RecoverOptions::new(2, 4, f64::NAN)),
        value,
        &["conv_delta"],
    );
    let options = RecoverOptions::new(2, 4, 1.0).eps(0.0625);
    assert_refused(recover(options), value, &["conv_eps", "0.0625"]);
    assert_refused(
        recover(RecoverOptions::new(usize::MAX, 4, 1.0)),
        value,
        &["bases"],
    );
    let long = Array2::<f64>::ones((31, 3));
    let result = ConvBasis::recover(&x, &long, &RecoverOptions::new(2, 4, 1.0));
    assert_refused(result, sys::SUBQUAD_ERR_SHAPE, &["31", "30"]);
}

#[test]
fn parameters_of_fits() {
    let x = Array2::<f64>::ones((30, 3));
    let result = ConvBasis::fit(&x, &x, &FitOptions::new().tol(1.5));
    assert_refused(result, sys::SUBQUAD_ERR_VALUE, &["tol", "1.5"]);
    let result = ConvBasis::fit(&x, &x, &FitOptions::new());
    assert_refused(result, sys::SUBQUAD_ERR_CONFLICT, &["bases", "tol"]);
    let both = FitOptions::new().bases(2).tol(0.5);
    assert_refused(
        ConvBasis::fit(&x, &x, &both),
        sys::SUBQUAD_ERR_CONFLICT,
        &["bases", "tol"],
    );
    let result = ConvBasis::fit(&x, &x, &FitOptions::new().bases(2).seed(-1));
    assert_refused(result, sys::SUBQUAD_ERR_VALUE, &["seed", "-1"]);
    let mut q = x.clone();
    q[[7, 1]] = f64::INFINITY;
    let result = ConvBasis::fit(&q, &x, &FitOptions::new().bases(2));
    assert_refused(result, sys::SUBQUAD_ERR_NONFINITE, &["q", "7, 1"]);
}

#[test]
fn values_that_do_not_fit() {
    let (basis, options) = (basis(), ConvOptions::new());
    let shape = sys::SUBQUAD_ERR_SHAPE;
    let x = Array3::<f64>::ones((2, 21, 3));
    assert_refused(basis.multiply(&x, &options), shape, &["x", "21", "20"]);
    assert_refused(
        basis.multiply_transposed(&x, &options),
        shape,
        &["x", "21", "20"],
    );
    assert_refused(
        basis.apply_transposed(&x, &options),
        shape,
        &["x", "21", "20"],
    );
    assert_refused(basis.apply(&x, &options), shape, &["v", "21", "20"]);
    let three_heads = Array3::<f64>::ones((3, 20, 3));
    assert_refused(
        basis.multiply(&three_heads, &options),
        shape,
        &["x", "3", "2"],
    );
    assert_refused(basis.apply(&three_heads, &options), shape, &["v", "3", "2"]);
    let one_head = Array2::<f64>::ones((20, 3));
    assert_refused(basis.multiply(&one_head, &options), shape, &["x"]);
    let line = Array1::<f64>::ones(20);
    assert_refused(basis.apply(&line, &options), shape, &["v", "1"]);
}

#[test]
fn values_that_are_not_finite_or_overflow() {
    let (basis, options) = (basis(), ConvOptions::new());
    let mut x = Array3::<f64>::ones((2, 20, 3));
    x[[1, 5, 2]] = f64::NAN;
    let nonfinite = sys::SUBQUAD_ERR_NONFINITE;
    assert_refused(basis.multiply(&x, &options), nonfinite, &["x", "1, 5, 2"]);
    assert_refused(basis.apply(&x, &options), nonfinite, &["v", "1, 5, 2"]);
    assert_refused(
        basis.apply_transposed(&x, &options),
        nonfinite,
        &["x", "1, 5, 2"],
    );
    let steep = ConvBasis::toeplitz(&array![0.0_f32, 100.0], &options).unwrap();
    assert_refused(steep.exp(&options), sys::SUBQUAD_ERR_OVERFLOW, &["100"]);
    let output = steep.apply(&array![[1.0], [1.0]], &options).unwrap();
    assert!((output.o[[1, 0]] - 1.0).abs() <= 1e-4);
}

#[test]
fn outputs_that_do_not_fit_stay_as_they_are() {
    let (basis, options) = (basis(), ConvOptions::new());
    let x = Array3::<f64>::ones((2, 20, 3));
    let mut y = Array3::from_elem((2, 20, 4), 7.0);
    let shape = sys::SUBQUAD_ERR_SHAPE;
    assert_refused(
        basis.multiply_into(&x, &mut y, &options),
        shape,
        &["y", "4", "3"],
    );
    assert_refused(
        basis.apply_into(&x, &mut y, None, &options),
        shape,
        &["o", "4", "3"],
    );
    let mut h = Array3::from_elem((2, 20, 21), 7.0);
    assert_refused(
        basis.to_dense_into(&mut h, &options),
        shape,
        &["h", "21", "20"],
    );
    assert!(y.iter().chain(&h).all(|&entry| entry == 7.0));
}

#[test]
fn settings_are_checked_when_they_are_used() {
    let basis = basis();
    let x = Array3::<f64>::ones((2, 20, 3));
    let options = ConvOptions::new().threads(5000);
    assert_refused(
        basis.multiply(&x, &options),
        sys::SUBQUAD_ERR_VALUE,
        &["threads", "5000"],
    );
    let options = ConvOptions::new().set_int(999, 1);
    assert_refused(
        basis.multiply(&x, &options),
        sys::SUBQUAD_ERR_UNKNOWN,
        &["999"],
    );
    let options = ConvOptions::new().backward_method(77);
    assert_refused(
        basis.backward(&x, &x, &x, &x, &options),
        sys::SUBQUAD_ERR_VALUE,
        &["backward", "77"],
    );
}

#[test]
fn a_workspace_limit_is_kept() {
    let basis = Logits::<f64>::new([1, 1, 3, 2000], 1).basis();
    let x = Array2::<f64>::ones((2000, 16));
    let mut context = Context::new().unwrap();
    context.set_workspace_limit(1).unwrap();
    let options = ConvOptions::new().context(&context);
    assert_refused(
        basis.apply(&x, &options),
        sys::SUBQUAD_ERR_WORKSPACE,
        &["1"],
    );
    let recovering = RecoverOptions::new(2, 4, 1.0).context(&context);
    assert_refused(
        ConvBasis::recover(&x, &x, &recovering),
        sys::SUBQUAD_ERR_WORKSPACE,
        &["1"],
    );
    context.set_workspace_limit(0).unwrap();
    assert!(
        basis
            .apply(&x, &ConvOptions::new().context(&context))
            .is_ok()
    );
}

#[test]
fn layers_that_do_not_fit_together() {
    let a = Array2::<f64>::ones((9, 3));
    let (x, y, e) = (Array2::eye(3), Array2::ones((3, 2)), Array2::ones((9, 2)));
    let attention = Attention::new();
    let shape = sys::SUBQUAD_ERR_SHAPE;
    let bad = Array2::ones((4, 3));
    assert_refused(
        attention.loss(&a, &a, &a, &bad, &y, &e),
        shape,
        &["x", "4", "3"],
    );
    assert_refused(
        attention.loss(&a, &bad, &a, &x, &y, &e),
        shape,
        &["a2", "4", "9"],
    );
    assert_refused(
        attention.loss(&a, &a, &a, &x, &y, &a),
        shape,
        &["e", "3", "2"],
    );
    let mut bad = a.clone();
    bad[[8, 1]] = f64::NAN;
    assert_refused(
        attention.loss(&a, &a, &bad, &x, &y, &e),
        sys::SUBQUAD_ERR_NONFINITE,
        &["a3", "8, 1"],
    );
}
