#!/bin/bash
# The campaigns at length, and the fuzzers: hours of work. long.sh [BUILD] [COUNT] [INPUTS] [SEED]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/release} count=${2:-2000} inputs=${3:-10000000} seed=${4:-$(date +%s)}
echo "seed $seed"
failed=0
for campaign in kills power_cuts damages; do
  python3 "$root/tests/campaigns/campaigns.py" $campaign --count "$count" --seed "$seed" \
    --program "$build/bin/orrery" --faults "$build/tests/campaigns/file_faults.so" || failed=1
done
# Need -DORRERY_BUILD_FUZZERS=ON.
for fuzzer in "$build"/tests/fuzz/fuzz_*; do
  [ -x "$fuzzer" ] && [ -f "$fuzzer" ] || continue
  name=$(basename "$fuzzer")
  found=$build/tests/fuzz/found_${name#fuzz_}
  "$fuzzer" -runs="$inputs" -seed="${seed: -9}" -timeout=10 -verbosity=0 -artifact_prefix="$found/" "$found" \
    "$root/tests/fuzz/corpus/${name#fuzz_}" || failed=1
done
exit $failed
