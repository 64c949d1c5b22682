//! Refused calls: the code, and a text that names the argument and the value. What the conformance rows hold is not repeated.

use ndarray::{Array1, Array2, Array4, Array5, ArrayD, Dim, IxDyn, array};
use subquad::{Attention, Context, Error, GradientsMut, sys};

pub fn assert_refused<T: std::fmt::Debug>(result: Result<T, Error>, code: i32, words: &[&str]) {
    let error = result.expect_err("the call must be refused");
    assert_eq!(error.code(), code, "{error}");
    for word in words {
        assert!(
            error.message().contains(word),
            "`{word}` is not in: {error}"
        );
    }
}

#[test]
fn an_error_shows_its_name_and_its_message() {
    let x = Array2::<f32>::ones((2, 2));
    let error = Attention::new().tol(1.5).run(&x, &x, &x).unwrap_err();
    assert_eq!(error.name(), "ERR_VALUE");
    assert_eq!(error.to_string(), format!("ERR_VALUE: {}", error.message()));
    assert!(error.message().contains("tol"));
    let shared: Box<dyn std::error::Error + Send + Sync> = error.into();
    assert!(shared.source().is_none());
}

#[test]
fn a_nan_is_named_by_its_index() {
    let clean = Array4::<f32>::ones((2, 3, 5, 4));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut q = clean.clone();
        q[[1, 2, 3, 0]] = bad;
        q[[1, 2, 4, 1]] = bad;
        let result = Attention::new().run(&q, &clean, &clean);
        assert_refused(result, sys::SUBQUAD_ERR_NONFINITE, &["q", "1, 2, 3, 0"]);
        let result = Attention::new().run(&clean, &clean, &q);
        assert_refused(result, sys::SUBQUAD_ERR_NONFINITE, &["v", "1, 2, 3, 0"]);
    }
}

#[test]
fn dimensions_that_the_library_has_not() {
    let line = Array1::<f64>::ones(3);
    assert_refused(
        Attention::new().run(&line, &line, &line),
        sys::SUBQUAD_ERR_SHAPE,
        &["q", "1"],
    );
    let deep = Array5::<f64>::ones((1, 1, 1, 2, 2));
    assert_refused(
        Attention::new().run(&deep, &deep, &deep),
        sys::SUBQUAD_ERR_SHAPE,
        &["q", "5"],
    );
    let point = ArrayD::<f64>::ones(IxDyn(&[]));
    assert_refused(
        Attention::new().run(&point, &point, &point),
        sys::SUBQUAD_ERR_SHAPE,
        &["q", "0"],
    );
    let mixed = Array2::<f64>::ones((3, 2)).into_dyn();
    let result = Attention::new().run(&mixed, &mixed, &point);
    assert_refused(result, sys::SUBQUAD_ERR_SHAPE, &["v"]);
}

#[test]
fn results_too_large_for_memory() {
    // Broadcast views are as large as their shape says without taking memory.
    let (one, row) = (
        Array2::<f64>::ones((1, 1)),
        Array2::<f64>::ones((1, 1 << 10)),
    );
    let tall = one.broadcast((1 << 58, 1)).unwrap();
    let result = Attention::new().run(&tall, &one, &row);
    assert_refused(
        result,
        sys::SUBQUAD_ERR_SIZE,
        &["o", &(1_u64 << 58).to_string()],
    );
    let result = Attention::new().run(&one.broadcast((1 << 46, 1)).unwrap(), &one, &row);
    assert_refused(
        result,
        sys::SUBQUAD_ERR_MEMORY,
        &["o", &(1_u64 << 46).to_string()],
    );
}

#[test]
fn settings_of_contexts_out_of_bounds() {
    let mut context = Context::new().unwrap();
    assert_refused(
        context.set_threads(1025),
        sys::SUBQUAD_ERR_VALUE,
        &["threads", "1025"],
    );
    assert_refused(
        context.set_threads(usize::MAX),
        sys::SUBQUAD_ERR_VALUE,
        &["threads"],
    );
    let name = Some("AB\0ACUS");
    assert_refused(
        context.set_simd_target(name),
        sys::SUBQUAD_ERR_UNKNOWN,
        &["SIMD"],
    );
    let x = Array2::<f32>::ones((2, 2));
    let result = Attention::new()
        .threads(5000)
        .context(&context)
        .run(&x, &x, &x);
    assert_refused(result, sys::SUBQUAD_ERR_VALUE, &["threads", "5000"]);
    // The context serves on.
    assert!(Attention::new().context(&context).run(&x, &x, &x).is_ok());
}

#[test]
fn a_workspace_limit_is_kept() {
    let x = Array2::<f64>::ones((64, 8));
    let mut context = Context::new().unwrap();
    let forward = Attention::new().context(&context).run(&x, &x, &x).unwrap();
    context.set_workspace_limit(1).unwrap();
    let attention = Attention::new().context(&context);
    let result = attention.backward(&x, &x, &x, &forward.o, &forward.lse, &x);
    assert_refused(result, sys::SUBQUAD_ERR_WORKSPACE, &["1"]);
    context.set_workspace_limit(u64::MAX).unwrap();
    let attention = Attention::new().context(&context);
    let result = attention.backward(&x, &x, &x, &forward.o, &forward.lse, &x);
    assert!(result.is_ok());
}

#[test]
fn a_gradient_of_no_bias() {
    let x = Array2::<f64>::ones((3, 2));
    let output = Attention::new().run(&x, &x, &x).unwrap();
    let mut d_lag_bias = Array2::zeros((1, 3));
    let gradients = GradientsMut {
        d_lag_bias: Some(&mut d_lag_bias),
        ..GradientsMut::default()
    };
    let result = Attention::new().backward_into(&x, &x, &x, &output.o, &output.lse, &x, gradients);
    assert_refused(
        result,
        sys::SUBQUAD_ERR_CONFLICT,
        &["d_lag_bias", "lag_bias"],
    );
}

#[test]
fn outputs_of_another_shape_stay_as_they_are() {
    let x = Array2::<f64>::ones((3, 2));
    let mut o = Array2::from_elem(Dim([3, 4]), 7.0);
    let result = Attention::new().run_into(&x, &x, &x, &mut o, None);
    assert_refused(result, sys::SUBQUAD_ERR_SHAPE, &["o", "4", "2"]);
    assert!(o.iter().all(|&o| o == 7.0));
}

#[test]
fn ranges_and_options_that_contradict() {
    let x = Array2::<f32>::ones((4, 2));
    let backwards = array![[3_i64, 1]];
    let result = Attention::new().key_ranges(&backwards).run(&x, &x, &x);
    assert_refused(result, sys::SUBQUAD_ERR_VALUE, &["key_ranges", "3", "1"]);
    let result = Attention::new()
        .set_float(sys::SUBQUAD_OPTION_CAUSAL, 1.0)
        .run(&x, &x, &x);
    assert_refused(result, sys::SUBQUAD_ERR_TYPE, &["causal"]);
    let result = Attention::new().set_int(999, 1).run(&x, &x, &x);
    assert_refused(result, sys::SUBQUAD_ERR_UNKNOWN, &["999"]);
}
