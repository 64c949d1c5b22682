//! Finds libsubquad, or builds it with the feature `vendored`, and tells cargo how to link it.
//!
//! The places, in order: the folder that `SUBQUAD_LIB_DIR` names; with the feature `vendored` a build of our own, and no
//! other place; the build tree, when this crate lies in the repository; pkg-config. Dependents read where it was found
//! from `DEP_SUBQUAD_LIB_DIR`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// What one place had to say: the library's folder, or why there is none.
type Search = Result<PathBuf, String>;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SUBQUAD_LIB_DIR");
    println!("cargo::rerun-if-env-changed=DOCS_RS");
    if env::var_os("DOCS_RS").is_some() {
        return; // documentation needs no library, and docs.rs has none
    }
    let mut tried = Vec::new();
    let places: [fn() -> Option<Search>; 4] =
        [in_environment, in_own_build, in_build_tree, in_pkg_config];
    for place in places {
        match place() {
            Some(Ok(folder)) => return link(&folder),
            Some(Err(reason)) => tried.push(reason),
            None => {}
        }
    }
    tried.push("set SUBQUAD_LIB_DIR to the folder of the library, or enable the feature `vendored` to build it".into());
    println!("cargo::error=libsubquad was not found");
    for reason in tried {
        println!("cargo::error={reason}");
    }
    std::process::exit(1);
}

fn in_environment() -> Option<Search> {
    let folder = PathBuf::from(env::var_os("SUBQUAD_LIB_DIR")?);
    if !watched_library(&folder).exists() {
        println!(
            "cargo::error=SUBQUAD_LIB_DIR is {}, where there is no {}",
            folder.display(),
            library_name()
        );
        std::process::exit(1);
    }
    Some(Ok(folder))
}

fn in_build_tree() -> Option<Search> {
    let root = manifest_folder().ancestors().nth(3)?.to_path_buf();
    if !root.join("capi").join("subquad.h").exists() {
        return None; // another's tree
    }
    let folder = root.join("build").join("release");
    let library = watched_library(&folder);
    Some(if library.exists() {
        Ok(folder)
    } else {
        Err(format!(
            "looked for {}, which cmake --preset release and --build make",
            library.display()
        ))
    })
}

fn in_pkg_config() -> Option<Search> {
    let wanted = env!("CARGO_PKG_VERSION");
    let found = pkg_config::Config::new()
        .atleast_version(wanted)
        .cargo_metadata(false)
        .probe("subquad")
        .and_then(|_| pkg_config::get_variable("subquad", "libdir"));
    let found = found.map(PathBuf::from).inspect(|folder| {
        watched_library(folder);
    });
    Some(found.map_err(|error| {
        // One line is all that cargo shows of an error.
        let text = error.to_string();
        let line = text.lines().find(|line| !line.trim().is_empty());
        format!(
            "asked pkg-config for subquad >= {wanted}: {}",
            line.unwrap_or("no answer")
        )
    }))
}

/// The sources are in this crate's own folder: links in the repository, files in a package.
#[cfg(feature = "vendored")]
fn in_own_build() -> Option<Search> {
    let source = manifest_folder().join("source");
    println!("cargo::rerun-if-changed={}", source.display());
    // Kernels without optimisation serve nobody, so cargo's profile has no say.
    let prefix = cmake::Config::new(source)
        .profile("Release")
        .define("SUBQUAD_BUILD_TESTS", "OFF")
        .define("CMAKE_INSTALL_LIBDIR", "lib")
        .build();
    Some(Ok(prefix.join("lib")))
}

#[cfg(not(feature = "vendored"))]
fn in_own_build() -> Option<Search> {
    None
}

/// Where this crate lies now, which need not be where the build script was compiled.
fn manifest_folder() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .expect("cargo sets CARGO_MANIFEST_DIR")
        .into()
}

/// The library in a folder. Cargo looks for it anew when it changes.
fn watched_library(folder: &Path) -> PathBuf {
    let library = folder.join(library_name());
    println!("cargo::rerun-if-changed={}", library.display());
    library
}

fn library_name() -> &'static str {
    match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => "libsubquad.dylib",
        _ => "libsubquad.so",
    }
}

/// Link against the library through links to it in OUT_DIR: cargo puts search paths below its target folder, and no
/// others, on the loader's path of what it runs, so `cargo test` and `cargo run` find the library wherever it is. The links lead to
/// the names in its folder, not to the file of this version that those lead to, so that they outlast an update.
fn link(folder: &Path) {
    let stage =
        PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("libsubquad");
    if let Err(error) = stage_library(folder, &stage) {
        println!(
            "cargo::error=cannot link {} into {}: {error}",
            folder.display(),
            stage.display()
        );
        std::process::exit(1);
    }
    println!("cargo::rustc-link-search=native={}", stage.display());
    println!("cargo::rustc-link-lib=dylib=subquad");
    println!("cargo::metadata=lib_dir={}", folder.display());
}

fn stage_library(folder: &Path, stage: &Path) -> std::io::Result<()> {
    if stage.exists() {
        fs::remove_dir_all(stage)?;
    }
    fs::create_dir_all(stage)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("libsubquad.")
        {
            let file = std::path::absolute(entry.path())?;
            std::os::unix::fs::symlink(file, stage.join(entry.file_name()))?;
        }
    }
    Ok(())
}
