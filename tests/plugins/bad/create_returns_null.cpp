#define NAME "returns_null"
#include "descriptor.h"
