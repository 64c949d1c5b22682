//! The links through which programs find the library that was found when this crate was built.

use std::fs;
use std::path::Path;

/// Where the build script writes.
const OUT: &str = env!("OUT_DIR");

#[test]
fn links_lead_to_names_that_an_update_of_the_library_keeps() {
    let stage = Path::new(OUT).join("libsubquad");
    let mut links = 0;
    for entry in fs::read_dir(stage).unwrap() {
        let entry = entry.unwrap();
        let target = fs::read_link(entry.path()).unwrap();
        assert!(target.is_absolute(), "{}", target.display());
        assert_eq!(target.file_name(), Some(entry.file_name().as_os_str()));
        links += 1;
    }
    assert!(links > 0);
}

#[test]
#[cfg(not(feature = "vendored"))]
fn the_build_script_runs_anew_when_the_library_changes() {
    // Cargo keeps what the script said beside the folder that it writes to.
    let output = fs::read_to_string(Path::new(OUT).with_file_name("output")).unwrap();
    let watched = output
        .lines()
        .filter_map(|line| line.strip_prefix("cargo::rerun-if-changed="));
    assert!(
        watched
            .filter_map(|path| Path::new(path).file_stem())
            .any(|name| name == "libsubquad"),
        "{output}"
    );
}
