// What debug and sanitizer builds of a plugin are told, or that they run.
#ifdef WHOLE
#include "good_task.cpp"
#else
#include "descriptor.h"
#endif
