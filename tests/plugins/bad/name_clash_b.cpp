#define NAME "clashing"
#include "descriptor.h"
