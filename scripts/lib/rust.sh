# Rust for the scripts: a cargo new enough for bindings/rust. Source this after common.sh.
#
#   rust_find        prints the cargo to use; fails when there is none that works
#   rust_run ARGS    runs that cargo on bindings/rust, its output in build/rust

# The oldest Rust that bindings/rust compiles with, as its manifests say.
rust_oldest() { sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$root"/bindings/rust/Cargo.toml "$root"/bindings/rust/*/Cargo.toml 2>/dev/null | sort -V | tail -n 1; }

# Debian's own is tried too: a cargo earlier on PATH may be older.
rust_find() {
  local cargo oldest version
  oldest=$(rust_oldest)
  for cargo in $(type -ap cargo) /usr/bin/cargo; do
    version=$("$cargo" --version 2>/dev/null | cut -d' ' -f2)
    if [ -n "$version" ] && [ "$(printf '%s\n' "$oldest" "$version" | sort -V | head -n 1)" = "$oldest" ]; then
      printf '%s\n' "$cargo"
      return 0
    fi
  done
  return 1
}

# cargo takes rustc from PATH, so its own folder comes first.
rust_run() {
  local cargo
  cargo=$(rust_find) || return 1
  (cd "$root/bindings/rust" && PATH="$(dirname "$cargo"):$PATH" CARGO_TARGET_DIR="$build/rust" "$cargo" "$@")
}
