#include <c10/util/Exception.h>
#define NAME "throws_torch"
#define CREATE_BODY                          \
  TORCH_CHECK(false, "shapes do not match"); \
  return nullptr;
#include "descriptor.h"
