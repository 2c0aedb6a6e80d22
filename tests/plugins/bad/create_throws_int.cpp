#define NAME "throws_int"
#define CREATE_BODY throw 42;
#include "descriptor.h"
