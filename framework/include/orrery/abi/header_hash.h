// The hash of every public header, which a plugin carries in its stamp. Written by the test Abi.*
// (framework/loader/abi_test.cpp says how).
#pragma once

// of abi 4
#define ORRERY_HEADER_HASH "2f1d01fcca35e014"
