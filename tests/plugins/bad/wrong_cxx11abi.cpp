#define ORRERY_STAMP_CXX11ABI 7
#include "descriptor.h"
