#define DESCRIPTOR_ABI 999
#include "descriptor.h"
