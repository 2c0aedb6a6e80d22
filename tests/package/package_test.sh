#!/bin/bash
# package_test.sh CMAKE BUILD WORK: installs BUILD below WORK, then writes, builds, tests and runs plugins there, with a
# LibTorch that lies elsewhere than the one Orrery was built with.
set -euo pipefail
cmake=$1 build=$2 work=$3
source_tree=$(cd "$(dirname "$0")/../.." && pwd)
fail() { echo "$@"; exit 1; }
rm -rf "$work"
mkdir -p "$work/author"
"$cmake" --install "$build" --prefix "$work/prefix" >/dev/null

# copy_torch TO: the same LibTorch at another prefix; its headers and libraries are links.
torch=$(sed -n 's/^Torch_DIR:PATH=//p' "$build/CMakeCache.txt")
copy_torch() {
  local libraries prefix header folder=$1/lib/$(basename "$(dirname "$(dirname "$torch")")")
  libraries=$(dirname "$(dirname "$torch")")
  prefix=$(dirname "$(dirname "$libraries")")
  [ -d "$prefix/include/torch" ] || prefix=$(dirname "$libraries")
  mkdir -p "$folder" "$1/include"
  mkdir "$folder/cmake"
  cp -rL "$(dirname "$torch")"/{Torch,Caffe2} "$folder/cmake/"
  for header in torch ATen c10 caffe2; do cp -rs "$prefix/include/$header" "$1/include/"; done
  ln -s "$libraries"/lib{torch,c10}* "$folder/"
}

# configure FOLDER PREFIX...
configure() {
  local prefixes=${*:2}
  "$cmake" -S "$1" -B "$1/build" -G Ninja -DCMAKE_PREFIX_PATH="${prefixes// /;}" >"$1/configure.log" 2>&1 ||
    { cat "$1/configure.log"; exit 1; }
}

# The configs and the pages are installed; --tier finds them from a folder without configs.
for file in share/orrery/configs/quickstart.toml share/doc/orrery/docs/config.md; do
  [ -f "$work/prefix/$file" ] || fail "$file is not installed"
done
cd "$work/author"
timeout -s INT 60 "$work/prefix/bin/orrery" verify --tier quick --runs "$work/runs" 2>verify.log & verifying=$!
for _ in $(seq 300); do ! grep -q "transformer on\|task on\|mlp on" verify.log || break; sleep 0.2; done
kill -INT $verifying 2>/dev/null || true
wait $verifying || true
grep -q "^run directory" verify.log || { cat verify.log; fail "verify --tier does not find the installed configs"; }
orrery=$work/prefix/bin/orrery
# The Python package, where it was built, finds liborrery and opens a network.
if python=$(sed -n 's/^EXECUTABLE = "\(.*\)"/\1/p' "$work/prefix/lib/orrery/python/orrery/_build.py" 2>/dev/null); then
  "$orrery" train "$work/prefix/share/orrery/configs/quickstart.toml" --set train.steps=20 --out quickstart 2>/dev/null
  PYTHONPATH=$work/prefix/lib/orrery/python "$python" -c 'import orrery; orrery.open("quickstart").network()'
fi
copy_torch "$work/elsewhere"
for kind in task probe loss update model; do
  "$orrery" new "$kind" "my_$kind" --out . >/dev/null  # also where this folder lies in the source tree
  configure "my_$kind" "$work/elsewhere" "$work/prefix"
  cd "my_$kind"
  ! grep -q "$source_tree/framework" build/build.ninja || fail "the build of my_$kind looks into the source tree"
  grep -q "^Torch_DIR:PATH=$work/elsewhere/" build/CMakeCache.txt || fail "the LibTorch elsewhere was not taken"
  grep -q "$work/elsewhere/include" build/compile_commands.json || fail "its headers were not taken"
  # Tests of plugins out of the tree: those of two kinds say it for all, and each takes half a minute to compile.
  case $kind in task | probe) targets=() ;; *) targets=(--target "${kind}_my_$kind") ;; esac
  "$cmake" --build build "${targets[@]}" >build.log 2>&1 || { cat build.log; exit 1; }
  ! ninja -C build -t deps | grep -q "$(dirname "$(dirname "$torch")" | sed 's|/lib.*||')/include/ATen/" ||
    fail "headers of both LibTorch were taken"
  [ ${#targets[@]} -gt 0 ] || ctest --test-dir build --no-tests=error --output-on-failure
  "$orrery" train "my_$kind.toml" --plugin "build/plugins/${kind}_my_$kind.so" --out run --set train.steps=20
  "$orrery" describe "my_$kind" --plugin "build/plugins/${kind}_my_$kind.so" >/dev/null
  cd ..
done

# Another version of LibTorch is a warning when it is found, and its plugins are refused. This one needs none of its types.
copy_torch "$work/another"
version=$(find "$work/another/include" -name version.h -path '*torch/version.h')
sed -e 's/^#define TORCH_VERSION_MAJOR .*/#define TORCH_VERSION_MAJOR 99/' \
  -e 's/^ *"[0-9]*\.\(.*\)"$/  "99.\1"/' "$version" >"$work/version.h"
rm "$version" && mv "$work/version.h" "$version"
sed -i 's/^set(PACKAGE_VERSION .*/set(PACKAGE_VERSION "99.13.0")/' "$work"/another/lib/*/cmake/Torch/TorchConfigVersion.cmake
mkdir by_hand
cat >by_hand/CMakeLists.txt <<'EOF'
cmake_minimum_required(VERSION 3.25)
project(by_hand)
find_package(orrery CONFIG REQUIRED)
orrery_add_plugin(by_hand KIND task SOURCES by_hand.cpp)
EOF
cp "$source_tree"/tests/plugins/bad/descriptor.h by_hand/by_hand.cpp
configure by_hand "$work/another" "$work/prefix"
grep -q "built with LibTorch .*, but LibTorch 99.13.0 was found" by_hand/configure.log || fail "no warning of the version"
"$cmake" --build by_hand/build >by_hand/build.log 2>&1 || { cat by_hand/build.log; exit 1; }
! "$orrery" plugins --plugin by_hand/build/plugins/task_by_hand.so 2>refusal || fail "it was not refused"
grep -q "LibTorch: this program has .*, the plugin 99[.]" refusal || { cat refusal; exit 1; }

# The old C++ ABI, as in pip's torch before 2.7, is refused with a sentence.
copy_torch "$work/old_abi"
echo 'set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=0")' >>"$(echo "$work"/old_abi/lib/*/cmake/Torch/TorchConfig.cmake)"
mkdir old_abi && cp by_hand/CMakeLists.txt by_hand/by_hand.cpp old_abi
! (configure old_abi "$work/old_abi" "$work/prefix") >refusal || fail "a LibTorch with the old C++ ABI was taken"
tr -s ' \n' ' ' <refusal | grep -q "C++ ABI that GCC had before version 5" || { cat refusal; exit 1; }
