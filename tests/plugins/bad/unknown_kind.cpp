#define KIND 3
#include "descriptor.h"
