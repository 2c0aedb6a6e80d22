#define KIND 6
#include "descriptor.h"
