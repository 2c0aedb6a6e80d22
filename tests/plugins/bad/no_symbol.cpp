#define NO_SYMBOL
#include "descriptor.h"
