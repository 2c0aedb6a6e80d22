#define NO_STAMP
#include "descriptor.h"
// The prefix by itself, and a sentence that has it, are not stamps.
EXPORT const char search_string[] = ORRERY_STAMP_PREFIX;
EXPORT const char sentence[] = "looked for " ORRERY_STAMP_PREFIX "abi=1 and did not find it";
