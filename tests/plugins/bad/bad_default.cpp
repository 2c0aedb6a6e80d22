#define DEFAULT "seven"
#include "descriptor.h"
