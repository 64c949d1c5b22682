//! Reports: getters, types, JSON, and what the library says of itself.

use ndarray::Array2;
use serde_json::Value;
use subquad::{Attention, Context, Report, info, simd_targets, sys};

fn report_of_a_call() -> Report {
    let x = Array2::<f32>::ones((6, 2));
    Attention::new()
        .causal(true)
        .threads(1)
        .run(&x, &x, &x)
        .unwrap()
        .report
}

#[test]
fn a_call_says_what_it_did() {
    let report = report_of_a_call();
    assert_eq!(
        report
            .string(sys::SUBQUAD_REPORT_METHOD)
            .unwrap()
            .to_lowercase(),
        "exact"
    );
    assert_eq!(report.ints(sys::SUBQUAD_REPORT_PAIRS), Ok(vec![21]));
    assert_eq!(report.int(sys::SUBQUAD_REPORT_THREADS), Ok(1));
    assert!(report.float(sys::SUBQUAD_REPORT_SECONDS).unwrap() >= 0.0);
    assert_eq!(report.floats(sys::SUBQUAD_REPORT_SECONDS).unwrap().len(), 1);
    let target = report.string(sys::SUBQUAD_REPORT_SIMD_TARGET).unwrap();
    assert!(simd_targets().unwrap().contains(&target.as_str()));
}

#[test]
fn wrong_questions_have_named_answers() {
    let report = report_of_a_call();
    let wrong_type = report.int(sys::SUBQUAD_REPORT_METHOD).unwrap_err();
    assert_eq!(wrong_type.code(), sys::SUBQUAD_ERR_TYPE);
    let empty = report.string(sys::SUBQUAD_REPORT_FFTW_VERSION).unwrap_err();
    assert_eq!(empty.code(), sys::SUBQUAD_ERR_UNSET);
    assert_eq!(
        report.strings(sys::SUBQUAD_REPORT_FFTW_VERSION),
        Ok(Vec::new())
    );
    assert_eq!(report.length(sys::SUBQUAD_REPORT_FFTW_VERSION), Ok(0));
    let unknown = report.length(-5).unwrap_err();
    assert_eq!(unknown.code(), sys::SUBQUAD_ERR_UNKNOWN);
    assert!(unknown.message().contains("-5"), "{unknown}");
}

#[test]
fn json_holds_the_same_values() {
    let report = report_of_a_call();
    let json: Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!(json["pairs"], 21);
    assert_eq!(
        json["seconds"].as_f64(),
        report.float(sys::SUBQUAD_REPORT_SECONDS).ok()
    );
    let info = info().unwrap();
    let json: Value = serde_json::from_str(&info.json().unwrap()).unwrap();
    assert_eq!(json["version"], sys::SUBQUAD_VERSION_STRING);
}

#[test]
fn threads_read_one_report_at_once() {
    let report = info().unwrap();
    let (json, version) = (report.json().unwrap(), sys::SUBQUAD_VERSION_STRING);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert_eq!(report.json().unwrap(), json);
                    let read = report.string(sys::SUBQUAD_REPORT_VERSION);
                    assert_eq!(read.as_deref(), Ok(version));
                }
            });
        }
    });
}

#[test]
fn the_library_describes_itself() {
    let report = info().unwrap();
    assert_eq!(
        report.strings(sys::SUBQUAD_REPORT_SIMD_TARGETS).unwrap(),
        simd_targets().unwrap()
    );
    for key in [
        sys::SUBQUAD_REPORT_BLAS,
        sys::SUBQUAD_REPORT_BLAS_CORE,
        sys::SUBQUAD_REPORT_FFTW_VERSION,
    ] {
        assert!(!report.string(key).unwrap().is_empty());
    }
    let mut context = Context::new().unwrap();
    context.set_threads(3).unwrap();
    assert_eq!(
        context.info().unwrap().int(sys::SUBQUAD_REPORT_THREADS),
        Ok(3)
    );
}
