#define ORRERY_STAMP_HEADERS "0123456789abcdef"
#include "descriptor.h"
