# Steps and test suites: each one's log, its seconds, its line, and the closing line over all. Source this after common.sh.
#
#   step NAME COMMAND..              something that must work before tests can run; when it fails, everything ends
#   suite NAME FORMAT FILE COMMAND.. runs tests; FORMAT and FILE are what count_tests.py reads, FILE - is the log itself
#   suite_ctest NAME FOLDER          the C and C++ tests of build/FOLDER as a suite
#   suites_close                     prints "N passed, N failed"; its status is that of the whole run
#
# A suite also fails when its command does though no test failed (it crashed), and when it ran no test at all.

suites_passed=0
suites_failed=0
suites_skipped=0
suites_bad=""

suites_seconds() { awk -v from="$1" -v to="$(date +%s.%N)" 'BEGIN { printf "%.1f", to - from }'; }

# The end of a log, so that a failure explains itself where logs are not kept; set off, so that no line of it passes for ours.
suites_show_log() {
  say "the end of $2:"
  tail -n "$1" "$2" | sed 's/^/| /'
}

step() {
  local name=$1 start log="$logs/$1.log"
  shift
  start=$(date +%s.%N)
  if "$@" </dev/null >"$log" 2>&1; then
    printf '%-14s done %33s s\n' "$name" "$(suites_seconds "$start")"
    return 0
  fi
  suites_show_log 60 "$log"
  printf '%-14s FAILED\n' "$name"
  suites_failed=$((suites_failed + 1))
  suites_bad="$suites_bad $name"
  suites_close
  exit 1
}

suite() {
  local name=$1 format=$2 file=$3 log="$logs/$1.log" start status passed="" failed="" skipped="" note=""
  shift 3
  [ "$file" = - ] && file=$log || rm -f "$file"
  start=$(date +%s.%N)
  "$@" </dev/null >"$log" 2>&1
  status=$?
  read -r passed failed skipped < <("$root/.venv/bin/python" "$root/scripts/lib/count_tests.py" "$format" "$file" 2>>"$log")
  if [ $((passed + failed)) -eq 0 ]; then
    passed=0
    failed=1
    note=" (ran no test)"
  elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
    failed=1
    note=" (exit status $status)"
  fi
  if [ "$failed" -gt 0 ]; then
    suites_show_log 80 "$log"
    suites_bad="$suites_bad $name"
  fi
  printf '%-14s %6d ok %4d failed %4d skipped %9s s%s\n' "$name" "$passed" "$failed" "${skipped:=0}" "$(suites_seconds "$start")" "$note"
  suites_passed=$((suites_passed + passed))
  suites_failed=$((suites_failed + failed))
  suites_skipped=$((suites_skipped + skipped))
}

# A program may be a test runner itself, counted by its closing lines: ctest is told to keep everything that it prints.
suite_ctest() {
  suite "$1" junit "$logs/$1.xml" ctest --test-dir "$build/$2" --output-on-failure --output-junit "$logs/$1.xml" \
    --test-output-size-passed 10000000 --test-output-size-failed 10000000
}

suites_close() {
  local part
  say ""
  [ -z "$suites_bad" ] || say "failed:$suites_bad (logs in $logs)"
  for part in $left_out; do
    say "NOT TESTED: $part, because of --without $part"
  done
  if [ "$suites_skipped" -gt 0 ]; then
    say "$suites_passed passed, $suites_failed failed, $suites_skipped skipped"
  else
    say "$suites_passed passed, $suites_failed failed"
  fi
  [ "$suites_failed" -eq 0 ] && [ "$suites_passed" -gt 0 ]
}
