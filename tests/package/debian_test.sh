#!/bin/bash
# debian_test.sh CPACK BUILD WORK: makes the Debian package of BUILD below WORK, and looks into it. tests/platforms/run.sh
# installs it in a bare system.
set -euo pipefail
cpack=$1 build=$2 work=$3
fail() { echo "$@"; exit 1; }
rm -rf "$work"
mkdir -p "$work"
"$cpack" -G DEB --config "$build/CPackConfig.cmake" -B "$work" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
deb=$(echo "$work"/orrery_*.deb)
depends=$(dpkg-deb -f "$deb" Depends)
for package in 'libtorch[0-9.]+' libopenblas0-pthread libc6 'libstdc\+\+6' 'libfmt[0-9]+' libtomlplusplus3 libssl3; do
  grep -qE "(^|, )$package" <<<"$depends" || fail "it does not depend on $package, only on: $depends"
done
case $depends in *-dev*) fail "it depends on what only authors need: $depends" ;; esac
[ "$(dpkg-deb -f "$deb" Package)" = orrery ] || fail "it has another name"
grep -q libtorch-dev <<<"$(dpkg-deb -f "$deb" Recommends)" || fail "what authors need is not recommended"
files=$(dpkg-deb -c "$deb")
for file in usr/bin/orrery usr/lib/orrery/plugins/task_modular_arithmetic.so usr/include/orrery/task.h \
  usr/include/orrery/abi/stamp.h usr/lib/cmake/orrery/orreryConfig.cmake \
  usr/share/orrery/configs/quickstart.toml usr/share/doc/orrery/copyright; do
  grep -q " ./$file$" <<<"$files" || fail "it has no $file"
done
! grep -vE ' \./(usr/(|bin/.*|lib/.*|include/(|orrery/.*|plugins/.*)|share/(|doc/(|orrery/.*)|orrery/.*)))?$' <<<"$files" || fail "these do not belong into it"
