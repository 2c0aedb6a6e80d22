#define DOC ""
#include "descriptor.h"
