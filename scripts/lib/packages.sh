# What must be on the machine: how to see whether it is there, and how to get it. Source this after common.sh, python.sh, rust.sh.
#
#   packages_need PART..   Debian 12: installs what is missing for these parts; elsewhere: names it and fails
#
# julia itself is not in this table: Debian 12 has none, and julia.sh knows what to do about it.

# part | what | check | packages of Debian 12 | how to get it elsewhere
packages_table() {
  cat <<'TABLE'
build|a C++17 and C compiler|command -v c++ && command -v cc|g++|gcc or clang, from your system
build|CMake 3.21 or newer|packages_cmake|cmake|package cmake, nearly everywhere
build|Ninja|command -v ninja|ninja-build|package ninja or ninja-build
build|pkg-config|command -v pkg-config|pkg-config|package pkgconf or pkg-config
build|FFTW 3, float and double|pkg-config --exists fftw3 fftw3f|libfftw3-dev|package fftw, fftw-devel or libfftw3-dev
build|OpenBLAS|pkg-config --exists openblas|libopenblas-dev|package openblas, openblas-devel or libopenblas-dev
build|Armadillo|packages_header armadillo|libarmadillo-dev|package armadillo, armadillo-devel or libarmadillo-dev
build|Highway 1.0 or newer|pkg-config --atleast-version=1.0 libhwy|libhwy-dev|package highway, highway-devel or libhwy-dev
build|JSON for Modern C++|packages_header nlohmann/json.hpp|nlohmann-json3-dev|package nlohmann-json, json-devel or nlohmann-json3-dev
build|ccache, with which the library is compiled once and not for each package again|packages_ccache|ccache|package ccache
tests|doctest|packages_header doctest/doctest.h|doctest-dev|package doctest, doctest-devel or doctest-dev
tests|cmocka|pkg-config --exists cmocka|libcmocka-dev|package cmocka, libcmocka-devel or libcmocka-dev
python|Python 3.11 or newer with venv, pip and headers|python_find|python3 python3-venv python3-dev|your system's Python, or one that uv or pyenv installs
rust|cargo, new enough for bindings/rust|rust_find|rustc-web cargo-web|rustup (or leave it out: --without rust)
rust|certificate authorities|packages_certificates|ca-certificates|package ca-certificates
julia|curl or wget, without which Julia's package manager does not start|packages_fetcher|curl|package curl
style|clang-format and clang-tidy|command -v clang-format && command -v clang-tidy && command -v clang++|clang clang-format clang-tidy|packages clang and clang-tools-extra or llvm
rust-style|rustfmt and clippy|rust_run fmt --version && rust_run clippy --version|rustfmt-web rust-web-clippy|rustup component add rustfmt clippy
style|ShellCheck|command -v shellcheck|shellcheck|package shellcheck
TABLE
}

# The library needs 3.20; ctest writes its results as XML from 3.21.
packages_cmake() {
  local version
  version=$(cmake --version 2>/dev/null | sed -n 's/^cmake version //p')
  [ -n "$version" ] && [ "$(printf '%s\n' 3.21 "$version" | sort -V | head -n 1)" = 3.21 ]
}

packages_header() { printf '#if !__has_include(<%s>)\n#error\n#endif\n' "$1" | c++ -std=c++17 -x c++ -E -; }

# Other systems keep theirs elsewhere, and have them anyway.
packages_certificates() { ! packages_on_debian_12 || [ -s /etc/ssl/certs/ca-certificates.crt ]; }

# Without it everything works, and takes longer.
packages_ccache() { ! packages_on_debian_12 || command -v ccache; }

packages_fetcher() { command -v curl || command -v wget; }

packages_on_debian_12() { [ "$(. /etc/os-release 2>/dev/null && printf '%s' "${ID:-} ${VERSION_ID:-}")" = "debian 12" ]; }

# The rows of the table that belong to the parts named and whose check fails.
packages_missing() {
  local part what check packages elsewhere
  while IFS='|' read -r part what check packages elsewhere; do
    case " $* " in *" $part "*) ;; *) continue ;; esac
    (eval "$check") </dev/null >/dev/null 2>&1 || printf '%s|%s|%s|%s|%s\n' "$part" "$what" "$check" "$packages" "$elsewhere"
  done < <(packages_table)
}

# Install Debian packages as root or with sudo; where neither is to be had, print the line to run and fail.
packages_install() {
  local run=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600)
  if [ "$(id -u)" -ne 0 ]; then
    if ! { command -v sudo && { [ -t 0 ] || sudo -n true; }; } >/dev/null 2>&1; then
      say "These packages are missing, and installing them needs root. Run this line, then start again:"
      say "  su -c 'apt-get update && apt-get install -y --no-install-recommends $*'"
      return 1
    fi
    run=(sudo "${run[@]}")
  fi
  say "installing $*"
  "${run[@]}" update >"$logs/packages.log" 2>&1 &&
    "${run[@]}" install -y --no-install-recommends "$@" >>"$logs/packages.log" 2>&1 && return 0
  tail -n 20 "$logs/packages.log"
  say "apt-get failed; its whole output is in $logs/packages.log"
  return 1
}

packages_need() {
  local missing part what check packages elsewhere
  missing=$(packages_missing "$@")
  [ -n "$missing" ] || return 0
  if packages_on_debian_12; then
    # The names are separate words on purpose.
    # shellcheck disable=SC2046
    packages_install $(printf '%s\n' "$missing" | cut -d'|' -f4) || return 1
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    say "Still missing after the installation:"
  else
    say "Missing here (only Debian 12 is set up by itself):"
  fi
  while IFS='|' read -r part what check packages elsewhere; do
    say "  $what: $elsewhere (on Debian 12: $packages)"
  done <<<"$missing"
  return 1
}
