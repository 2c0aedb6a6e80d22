#define NAME "clashing"
#define KIND ORRERY_KIND_PROBE
#include "descriptor.h"
