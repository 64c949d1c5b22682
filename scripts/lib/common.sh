# What every script here starts from: where things are, how to say something, which parts to leave out. Source this from bash.
#
#   $root $build $logs   the checkout, build/ and build/logs/
#   say, die             a line to the reader; a line to the error stream and the end
#   has_part NAME        false when --without NAME was given
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build="$root/build"
logs="$build/logs"
optional_parts="julia rust"
left_out=""

say() { printf '%s\n' "$*"; }

die() {
  printf '%s\n' "$*" >&2
  exit 1
}

has_part() {
  case " $left_out " in *" $1 "*) return 1 ;; esac
}

# Take "--without NAME" off the arguments; what else there is goes into the array `arguments`.
parse_without() {
  arguments=()
  while [ $# -gt 0 ]; do
    case "$1" in
      --without)
        [ $# -ge 2 ] || die "--without needs a name: $optional_parts"
        case " $optional_parts " in
          *" $2 "*) left_out="${left_out:+$left_out }$2" ;;
          *) die "--without $2: not a part that can be left out; these can: $optional_parts" ;;
        esac
        shift 2
        ;;
      *)
        arguments+=("$1")
        shift
        ;;
    esac
  done
}

mkdir -p "$logs" || die "cannot write to $build"
