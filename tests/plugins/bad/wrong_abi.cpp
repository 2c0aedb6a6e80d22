#define ORRERY_STAMP_ABI 999
#include "descriptor.h"
