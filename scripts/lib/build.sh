# The C++ build for the scripts. Source this after common.sh.
#
#   build_preset PRESET [FOLDER [OPTION..]]   configures a preset of CMakePresets.json, with options of cmake's on top, and builds
#                                             it into build/FOLDER (build/PRESET)

# Wheels and crates compile the library again, with the same flags: a cache takes minutes off. It knows a compiler by its name, and
# what builds wheels would take that of the Python's own.
if command -v ccache >/dev/null; then
  export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache CC="${CC:-cc}" CXX="${CXX:-c++}"
  export CCACHE_DIR="$build/ccache" CCACHE_NOHASHDIR=1
fi

build_preset() {
  local preset=$1 folder="$build/${2:-$1}"
  shift $(($# < 2 ? $# : 2))
  (
    cd "$root" || exit 1
    cmake --preset "$preset" -B "$folder" "$@" && cmake --build "$folder" --parallel "$(getconf _NPROCESSORS_ONLN)"
  )
}
