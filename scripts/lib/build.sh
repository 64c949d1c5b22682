# The C++ build for the scripts. Source this after common.sh.
#
#   build_preset PRESET [FOLDER [OPTION..]]   configures a preset of CMakePresets.json, with options of cmake's on top, and builds
#                                             it into build/FOLDER (build/PRESET)

build_preset() {
  local preset=$1 folder="$build/${2:-$1}"
  shift $(($# < 2 ? $# : 2))
  (
    cd "$root" || exit 1
    cmake --preset "$preset" -B "$folder" "$@" && cmake --build "$folder" --parallel "$(getconf _NPROCESSORS_ONLN)"
  )
}
