#define DEFAULT "1"
#include "descriptor.h"
