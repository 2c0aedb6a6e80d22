#define TYPE "complex"
#include "descriptor.h"
