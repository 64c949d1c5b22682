# Julia for the scripts: find it, install it where Debian can, run it, run the package's tests. Source this from bash.
#
#   julia_find      prints the julia to use; fails when there is none that works
#   julia_install   on Debian 12: makes julia_find succeed; a second time it does nothing
#   julia_run ARGS  runs that julia with a depot of its own below build/
#   julia_test      runs the tests of bindings/julia, whose last line is "N passed, N failed"
#
# Everyone who uses the package gets Julia from juliaup. Debian 12 has no julia, but its predecessor (bullseye) has 1.5.3,
# which a machine that reaches only a Debian mirror can install. It needs bullseye's libunwind too: with the one of
# Debian 12, every exception that Julia throws ends the process. And libgcc has to be loaded before libunwind, which
# exports functions of the same names: with those, every C++ exception that a library throws does.

julia_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
julia_build="$julia_root/build"
julia_depot="$julia_build/julia-depot"
julia_runtime="$julia_build/julia-runtime"
julia_log="$julia_build/julia-install.log"
julia_oldest=1.5

julia_say() { printf 'julia: %s\n' "$*" >&2; }

# True where the julia at $1 is Debian's and the libunwind that the system would give it is the one that crashes it.
julia_needs_runtime() {
  [ "$(readlink -f "$1")" = "$(readlink -f /usr/bin/julia)" ] || return 1
  local installed
  installed=$(dpkg-query -W -f '${Version}\n' libunwind8 2>/dev/null | head -n 1)
  [ -n "$installed" ] && dpkg --compare-versions "$installed" ge 1.5
}

# The folder of the unpacked libunwind, nothing when it is not there.
julia_runtime_folder() {
  local library
  for library in "$julia_runtime"/usr/lib/*/libunwind.so.8; do
    [ -e "$library" ] && dirname "$library"
  done
}

julia_find() {
  local julia version
  julia=$(command -v julia) || return 1
  if julia_needs_runtime "$julia" && [ -z "$(julia_runtime_folder)" ]; then return 1; fi
  version=$("$julia" --version 2>/dev/null | sed -n 's/^julia version //p')
  if [ "$(printf '%s\n' "$julia_oldest" "$version" | sort -V | head -n 1)" != "$julia_oldest" ]; then
    julia_say "$julia has version ${version:-unknown}; $julia_oldest or newer is needed"
    return 1
  fi
  printf '%s\n' "$julia"
}

julia_as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

# Address of the mirror that this machine's own sources name for Debian 12. (apt knows it only once it has lists.)
julia_mirror() {
  # shellcheck disable=SC2016  # apt's own syntax
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Release: bookworm' 'Component: main' | head -n 1
}

# Bullseye as a source that apt uses only for what Debian 12 lacks: its priority is below that of every other source.
julia_add_bullseye() {
  local mirror source=/etc/apt/sources.list.d/subquad-bullseye.sources
  [ -n "$(julia_mirror)" ] || julia_as_root apt-get update
  mirror=$(julia_mirror)
  if [ -z "$mirror" ]; then
    julia_say "apt's sources name no mirror for bookworm's main packages"
    return 1
  fi
  printf 'Package: *\nPin: release n=bullseye\nPin-Priority: 100\n' |
    julia_as_root tee /etc/apt/preferences.d/subquad-bullseye || return 1
  printf 'Types: deb\nURIs: %s\nSuites: bullseye\nComponents: main\nSigned-By: %s\n' \
    "$mirror" /usr/share/keyrings/debian-archive-keyring.gpg | julia_as_root tee "$source" || return 1
  # Only this source: the lists of the others stay as they are.
  julia_as_root apt-get update -o Dir::Etc::sourcelist="$source" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0
}

# The part of the installation that needs root.
julia_install_package() {
  [ -x /usr/bin/julia ] && return 0
  julia_add_bullseye && julia_as_root apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=600 julia
}

# Bullseye's libunwind, unpacked below build/, where only julia_run looks.
julia_unpack_runtime() {
  rm -rf "$julia_runtime"
  mkdir -p "$julia_runtime"
  (cd "$julia_runtime" && apt-get download libunwind8/bullseye && dpkg -x libunwind8_*.deb . && rm libunwind8_*.deb)
}

julia_install() {
  julia_find >/dev/null && return 0
  if [ "$(. /etc/os-release 2>/dev/null && printf '%s' "${ID:-} ${VERSION_ID:-}")" != "debian 12" ]; then
    julia_say "not found. Install it with juliaup (https://julialang.org/install), or leave it out with --without julia"
    return 1
  fi
  if [ ! -x /usr/bin/julia ] && [ "$(id -u)" -ne 0 ] && ! { command -v sudo && { [ -t 0 ] || sudo -n true; }; } >/dev/null 2>&1; then
    julia_say "not found, and its installation needs root. Run this line, then start again:"
    julia_say "  su -c \"bash -c '. $julia_root/scripts/lib/julia.sh && julia_install_package'\""
    return 1
  fi
  mkdir -p "$julia_build"
  if ! { julia_install_package && julia_unpack_runtime && julia_find; } >"$julia_log" 2>&1; then
    julia_say "could not be installed from Debian; what apt said is in $julia_log"
    julia_say "install it with juliaup (https://julialang.org/install), or leave it out with --without julia"
    return 1
  fi
}

# A depot of our own, so that nothing is written to the user's, with an empty registry: Pkg asks the network for one
# wherever it finds none, and a package that uses only the standard library needs nothing from it.
julia_prepare_depot() {
  local registry="$julia_depot/registries/Empty"
  [ -e "$registry/Registry.toml" ] && return 0
  mkdir -p "$registry"
  cat >"$registry/Registry.toml" <<'TOML'
name = "Empty"
uuid = "6d1b1d7e-4d0c-4c1e-9f0b-52f1f1d2a4c3"
repo = ""

[packages]
TOML
}

julia_run() {
  local julia settings
  julia=$(julia_find) || return 1
  julia_prepare_depot || return 1
  settings=("JULIA_DEPOT_PATH=$julia_depot")
  if julia_needs_runtime "$julia"; then
    settings+=("LD_LIBRARY_PATH=$(julia_runtime_folder)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}")
    settings+=("LD_PRELOAD=libgcc_s.so.1${LD_PRELOAD:+:$LD_PRELOAD}")
  fi
  env "${settings[@]}" "$julia" "$@"
}

# The library under test is that of $SUBQUAD_BUILD, by default build/release, whatever else is installed. The time goes into compiling
# the tests, and -O1 halves it; -O0 would keep objects alive that optimised code drops.
julia_test() {
  local suffix=so
  [ "$(uname)" = Darwin ] && suffix=dylib
  SUBQUAD_LIBRARY="${SUBQUAD_BUILD:-$julia_build/release}/libsubquad.$suffix" \
    julia_run --startup-file=no --project="$julia_root/bindings/julia" -e 'using Pkg; Pkg.test(julia_args=["-O1"])' "$@"
}
