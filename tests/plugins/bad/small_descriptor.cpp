#define STRUCT_SIZE 16
#include "descriptor.h"
