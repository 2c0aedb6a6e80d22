#include <orrery/testing/plugin_under_test.h>
