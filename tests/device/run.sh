#!/bin/bash
# Builds Orrery on a machine with a GPU, tests it there and times it against eager PyTorch, in under nine minutes on
# 16 cores. It needs CUDA (nvcc), CMake 3.25, ninja, g++ and a python3 with torch, and fetches nothing: the other
# libraries come from the folder that tests/device/prepare.sh filled on a machine where Orrery builds.
#
# usage: tests/device/run.sh [--dependencies DIR] [--build DIR] [--out DIR] [--steps N] [--allow-cpu]
#   --dependencies DIR   what prepare.sh collected    (build/device/dependencies)
#   --build DIR          the build folder             (build/device/build)
#   --out DIR            results.md and the logs      (build/device/results)
#   --steps N            steps in a timed round       (200)
#   --allow-cpu          without a GPU: tests on a stand-in for one, and the timings of the CPU
#
# A step that fails does not keep the later ones from running. Exit codes: 0 all went well, 1 a step failed, 2 a wrong
# request, 3 there is no GPU. PYTHON names another python3.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dependencies=$root/build/device/dependencies build=$root/build/device/build out=$root/build/device/results
steps=200 allow_cpu= python=${PYTHON:-python3}

say() { printf '%s\n' "$*" >&2; }
while [ $# -gt 0 ]; do
  case $1 in
    --dependencies) dependencies=${2:?} && shift 2 ;;
    --build) build=${2:?} && shift 2 ;;
    --out) out=${2:?} && shift 2 ;;
    --steps) steps=${2:?} && shift 2 ;;
    --allow-cpu) allow_cpu=1 && shift ;;
    *) say "run: what is $1? The usage is at the head of $0" && exit 2 ;;
  esac
done
for tool in cmake ninja g++ "$python"; do
  command -v "$tool" >/dev/null || { say "run: there is no $tool here"; exit 2; }
done
[ -d "$dependencies/lib/cmake" ] ||
  { say "run: nothing lies in $dependencies" "  fill it with tests/device/prepare.sh, on a machine where Orrery builds"; exit 2; }
torch=$("$python" -c 'import torch; print(torch.utils.cmake_prefix_path)') ||
  { say "run: $python has no torch; set PYTHON to one that has"; exit 2; }
device=cuda tested=cuda
if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  if [ -z "$allow_cpu" ]; then
    say "run: SKIPPED, nothing was tested: PyTorch finds no GPU here (--allow-cpu does what can be done without one)"
    exit 3
  fi
  device=cpu tested=emulated
fi

mkdir -p "$out" "$build"
rm -f "$out"/*.log "$out/results.md" "$out/failed"
began=$SECONDS
limit=540  # seconds, for all of it

# step NAME COMMAND...: runs it within what is left of the time, its words in NAME.log.
step() {
  local name=$1 start=$SECONDS left=$((limit - (SECONDS - began))) status=0
  shift
  [ -n "$allow_cpu" ] && left=7200
  if [ "$left" -lt 5 ]; then status=124; else timeout "$left" "$@" >"$out/$name.log" 2>&1 || status=$?; fi
  local verdict=ok
  [ $status -eq 0 ] || verdict="FAILED ($status)"
  printf '| %s | %s | %d s |\n' "$name" "$verdict" $((SECONDS - start)) >>"$out/steps"
  say "$(printf '%-12s %-12s %4d s' "$name" "$verdict" $((SECONDS - start)))"
  if [ $status -ne 0 ]; then
    echo "$name" >>"$out/failed"
    tail -n 25 "$out/$name.log" >&2
  fi
  return $status
}
: >"$out/steps"

[ -x /usr/local/cuda/bin/nvcc ] && PATH=$PATH:/usr/local/cuda/bin
# Which GPU torch's CMake package shall compile for: it would find out with a program of its own.
gpu=$("$python" -c 'import torch; print(*torch.cuda.get_device_capability(), sep=".")' 2>/dev/null || true)

configure() {
  # Shared libraries of a pip torch find those of CUDA by paths that the linker does not follow. What libtorch loads may
  # bring an OpenSSL, whose calls must not end in the one that is linked here.
  local link="-Wl,--allow-shlib-undefined -Wl,--exclude-libs,libcrypto.a"
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DORRERY_BUILD_TESTS=ON \
    "-DCMAKE_PREFIX_PATH=$dependencies;$torch" "-DOPENSSL_ROOT_DIR=$dependencies" -DOPENSSL_USE_STATIC_LIBS=ON \
    "-DCMAKE_EXE_LINKER_FLAGS=$link" "-DCMAKE_SHARED_LINKER_FLAGS=$link" "-DCMAKE_MODULE_LINKER_FLAGS=$link" \
    ${gpu:+"-DTORCH_CUDA_ARCH_LIST=$gpu"}
}
compile() { cmake --build "$build" --target orrery_program device_tests device_times; }
# The program itself: a run that is stopped by its number of steps, continued, and probed anew on the CPU.
program() {
  local orrery=$build/bin/orrery run=$out/run
  rm -rf "$run"
  "$orrery" train "$root/configs/quickstart.toml" --out "$run" --set "train.device=\"$device\"" --set train.steps=200 &&
    "$orrery" train --resume "$run" --set train.steps=300 &&
    grep -q "\"device\": \"$device\"" "$run/run.json" && "$orrery" probe "$run" --steps last --again && rm -rf "$run"
}
export -f configure compile program
export root build dependencies torch device out gpu

step configure bash -c configure
step build bash -c compile
step tests "$build/tests/device/device_tests" "--device=$tested" --gtest_brief=1
step program bash -c program
step times "$python" "$root/tests/device/times.py" --device "$device" --steps "$steps" \
  --program "$build/tests/device/device_times" --markdown "$out/times.md"

{
  "$python" - <<'END'
import platform, torch
gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU: the CPU's times, tests on a stand-in"
print(f"{gpu}; PyTorch {torch.__version__}, CUDA {torch.version.cuda}; {platform.machine()}\n")
END
  cat "$out/times.md" 2>/dev/null || echo "No times: see times.log."
  printf '\n| step | | |\n|---|---|---|\n'
  cat "$out/steps"
  printf '| all | | %d s |\n' $((SECONDS - began))
  grep -h -E '^\[ +(PASSED|FAILED) +\]|tests? ran' "$out/tests.log" 2>/dev/null | sed 's/^/    /'
} >"$out/results.md"
rm -f "$out/steps"
cat "$out/results.md"
[ ! -e "$out/failed" ]
