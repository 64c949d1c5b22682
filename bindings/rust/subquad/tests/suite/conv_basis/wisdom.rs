//! FFTW's wisdom, out and in.

use subquad::{export_wisdom, import_wisdom, sys};

#[test]
fn what_was_exported_can_be_imported() {
    let text = export_wisdom().unwrap();
    assert!(!text.is_empty());
    import_wisdom(&text).unwrap();
    // Exports of other threads leave a copy alone.
    let other = std::thread::spawn(export_wisdom).join().unwrap().unwrap();
    import_wisdom(&other).unwrap();
}

#[test]
fn what_is_no_wisdom_is_refused() {
    for text in ["", "(fftw-3.3 nonsense", "a\0b"] {
        let error = import_wisdom(text).unwrap_err();
        assert_eq!(error.code(), sys::SUBQUAD_ERR_VALUE, "{error}");
        assert!(error.message().contains("text"), "{error}");
    }
}
