// Marks the symbols that liborrery exports; all others are hidden.
#pragma once

#define ORRERY_API __attribute__((visibility("default")))
