#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  orrery::fuzz::json_target(std::as_bytes(std::span(data, size)));
  return 0;
}
