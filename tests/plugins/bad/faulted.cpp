#define FAULT "parameter \"q\" is declared twice"
#include "descriptor.h"
