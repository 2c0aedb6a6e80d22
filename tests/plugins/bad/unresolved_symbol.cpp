void* defined_nowhere();
#define CREATE_BODY return defined_nowhere();
#include "descriptor.h"
