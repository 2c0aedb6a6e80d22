#!/bin/bash
# Collects, on a machine where Orrery builds, what a machine without packages needs besides CUDA, CMake, ninja, g++ and
# a pip torch: the libraries that are headers only, and GoogleTest's sources, with CMake packages that find them.
# usage: tests/device/prepare.sh [DIR]    default: build/device/dependencies (some 15 MiB, ignored by git)
# run.sh builds from it on any machine of this one's architecture.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
to=${1:-$root/build/device/dependencies}
compiler=${CXX:-g++}

fail() { printf 'prepare: %s\n' "$*" >&2; exit 1; }

# headers_of HEADER: every file that including it reads.
headers_of() {
  printf '#include <%s>\n' "$1" | "$compiler" -std=c++20 -DBOOST_DLL_USE_STD_FS -M -x c++ - 2>/dev/null |
    tr -s ' \\' '\n' | grep '^/' || fail "the compiler finds no <$1>; ./orrery build installs what it needs"
}
# folder_of HEADER: the folder that holds NAME of <NAME/file>.
folder_of() { headers_of "$1" | grep -m1 "/$1\$" | sed "s|/$1\$||"; }

rm -rf "$to"
mkdir -p "$to/include" "$to/lib/cmake" "$to/src"
for header in fmt/format.h nlohmann/json.hpp toml++/toml.h CLI/CLI.hpp openssl/evp.h; do
  name=${header%%/*}
  cp -r "$(folder_of "$header")/$name" "$to/include/"
done
# Debian keeps OpenSSL's headers that differ between architectures in a folder of their own.
for file in $(headers_of openssl/evp.h | grep '/openssl/'); do cp "$file" "$to/include/openssl/"; done
# Of Boost, what Boost.DLL includes.
for file in $(headers_of boost/dll/shared_library.hpp | grep '/boost/') "$(folder_of boost/version.hpp)/boost/version.hpp"; do
  mkdir -p "$to/include/boost/$(dirname "${file#*/boost/}")"
  cp "$file" "$to/include/boost/${file#*/boost/}"
done
crypto=$("$compiler" -print-file-name=libcrypto.a)
[ -e "$crypto" ] || fail "there is no libcrypto.a; on Debian it is in libssl-dev"
cp "$crypto" "$to/lib/"
googletest=
for folder in ${GOOGLETEST:-} /usr/src/googletest/googletest /usr/src/gtest; do
  [ -e "$folder/src/gtest-all.cc" ] && googletest=$folder && break
done
[ -n "$googletest" ] || fail "no sources of GoogleTest: install Debian's googletest, or set GOOGLETEST to their folder"
mkdir "$to/src/googletest"
cp -r "$googletest"/{src,include} "$to/src/googletest/"

# package NAME: reads its CMake package; root is the folder of all of this.
package() {
  mkdir -p "$to/lib/cmake/$1"
  { printf 'get_filename_component(root "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)\n'; cat; } >"$to/lib/cmake/$1/$1Config.cmake"
}
# headers NAME TARGET [DEFINITION]: the package of a library that is headers only.
headers() {
  package "$1" <<END
if(NOT TARGET $2)
  add_library($2 INTERFACE IMPORTED GLOBAL)
  set_target_properties($2 PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "\${root}/include")
  set_property(TARGET $2 PROPERTY INTERFACE_COMPILE_DEFINITIONS ${3:-})
endif()
END
}
headers fmt fmt::fmt FMT_HEADER_ONLY=1
headers tomlplusplus tomlplusplus::tomlplusplus TOML_HEADER_ONLY=1
headers nlohmann_json nlohmann_json::nlohmann_json
headers CLI11 CLI11::CLI11
package GTest <<'END'
if(NOT TARGET GTest::gtest)
  find_package(Threads REQUIRED)
  add_library(gtest STATIC EXCLUDE_FROM_ALL ${root}/src/googletest/src/gtest-all.cc)
  target_include_directories(gtest SYSTEM PUBLIC ${root}/src/googletest/include PRIVATE ${root}/src/googletest)
  target_link_libraries(gtest PUBLIC Threads::Threads)
  add_library(gtest_main STATIC EXCLUDE_FROM_ALL ${root}/src/googletest/src/gtest_main.cc)
  target_link_libraries(gtest_main PUBLIC gtest)
  set_target_properties(gtest gtest_main PROPERTIES CXX_VISIBILITY_PRESET default)
  add_library(GTest::gtest ALIAS gtest)
  add_library(GTest::gtest_main ALIAS gtest_main)
endif()
END
echo "prepare: $to, $(du -sm "$to" | cut -f1) MiB"
