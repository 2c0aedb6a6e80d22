int fail() { throw 42; }
const int failed = fail();
#include "descriptor.h"
