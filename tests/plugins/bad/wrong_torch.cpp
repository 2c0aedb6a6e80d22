#define ORRERY_STAMP_TORCH "0.4.1"
#include "descriptor.h"
