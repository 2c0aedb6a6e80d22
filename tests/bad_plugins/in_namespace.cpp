// The macro inside of an unnamed namespace: its function has no name for others.
#include <plugins/abi/abi.h>
#include <plugins/abi/stamp.h>
namespace {
#include "descriptor.h"
}
