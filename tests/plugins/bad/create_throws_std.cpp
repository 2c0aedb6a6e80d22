#include <stdexcept>
#define NAME "throws_std"
#define CREATE_BODY throw std::runtime_error("no modulus today");
#include "descriptor.h"
