// The stamp: what a plugin was built with, embedded as text that can be read without loading the library. A
// library built for another LibTorch may bind silently to this one, so it must be refused before dlopen.
#pragma once

#include <orrery/abi/abi.h>
#include <torch/version.h>

#include <cstddef>  // defines _GLIBCXX_USE_CXX11_ABI

#define ORRERY_STAMP_TEXT_(x) #x
#define ORRERY_STAMP_TEXT(x) ORRERY_STAMP_TEXT_(x)

#ifdef _GLIBCXX_RELEASE
#define ORRERY_STAMP_STDLIB "libstdc++"
#else
#define ORRERY_STAMP_STDLIB "libc++"
#endif
#ifndef _GLIBCXX_USE_CXX11_ABI
#define _GLIBCXX_USE_CXX11_ABI 1
#endif
#ifdef _GLIBCXX_DEBUG
#define ORRERY_STAMP_CONTAINERS "checked"
#else
#define ORRERY_STAMP_CONTAINERS "plain"
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ORRERY_STAMP_SANITIZER "address"
#elif defined(__SANITIZE_THREAD__)
#define ORRERY_STAMP_SANITIZER "thread"
#else
#define ORRERY_STAMP_SANITIZER "none"
#endif
#ifdef __clang__
#define ORRERY_STAMP_COMPILER "clang-" ORRERY_STAMP_TEXT(__clang_major__)
#else
#define ORRERY_STAMP_COMPILER "gcc-" ORRERY_STAMP_TEXT(__GNUC__)
#endif

// Precedes the first field; the loader searches the file's bytes for it.
#define ORRERY_STAMP_PREFIX "ORRERY-STAMP/1 "

// Fields a plugin may override (`-DORRERY_STAMP_TORCH=...`) exist for the tests of refusal only.
#ifndef ORRERY_STAMP_ABI
#define ORRERY_STAMP_ABI ORRERY_ABI
#endif
#ifndef ORRERY_STAMP_TORCH
#define ORRERY_STAMP_TORCH TORCH_VERSION
#endif
#ifndef ORRERY_STAMP_CXX11ABI
#define ORRERY_STAMP_CXX11ABI _GLIBCXX_USE_CXX11_ABI
#endif

// clang-format off
#define ORRERY_STAMP                                                  \
  ORRERY_STAMP_PREFIX "abi=" ORRERY_STAMP_TEXT(ORRERY_STAMP_ABI)      \
  " torch=" ORRERY_STAMP_TORCH                                        \
  " stdlib=" ORRERY_STAMP_STDLIB                                      \
  " cxx11abi=" ORRERY_STAMP_TEXT(ORRERY_STAMP_CXX11ABI)               \
  " sanitizer=" ORRERY_STAMP_SANITIZER                                \
  " compiler=" ORRERY_STAMP_COMPILER                                  \
  " std=20"                                                           \
  " containers=" ORRERY_STAMP_CONTAINERS
// clang-format on
