#include <unistd.h>
const int ended = (_exit(3), 0);
#include "descriptor.h"
