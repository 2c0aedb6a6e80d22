#include <stdexcept>
#define NAME "destroy_throws"
#define CREATE_BODY        \
  static int instance = 0; \
  return &instance;
#define DESTROY_BODY throw std::runtime_error("will not go");
#include "descriptor.h"
