#define ORRERY_STAMP_ABI 999
#define ORRERY_STAMP_TORCH "0.4.1"
#define ORRERY_STAMP_CXX11ABI 7
#include "descriptor.h"
