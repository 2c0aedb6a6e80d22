#!/bin/bash
# mistakes_test.sh COMPILER FLAG...: every *.cpp beside this script is refused with the sentence of its first line, in few
# lines; right*.cc are not refused.
set -uo pipefail
cd "$(dirname "$0")"
failed=0
fail() { echo "$@"; failed=1; }
for file in right*.cc; do "$@" -fsyntax-only -x c++ "$file" || fail "$file is refused"; done
for file in *.cpp; do
  said=$(LC_ALL=C "$@" -fsyntax-only "$file" 2>&1) && fail "$file compiles"
  expected=$(sed -n '1s|^// ||p' "$file")
  [ -n "$expected" ] && grep -qF "$expected" <<<"$said" || fail "$file: expected \"$expected\" in: $said"
  [ "$(wc -l <<<"$said")" -le 50 ] || fail "$file: too many lines: $said"
done
exit $failed
