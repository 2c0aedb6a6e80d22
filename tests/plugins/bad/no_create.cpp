#define CREATE nullptr
#include "descriptor.h"
