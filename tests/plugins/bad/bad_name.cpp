#define NAME "../elsewhere"
#include "descriptor.h"
