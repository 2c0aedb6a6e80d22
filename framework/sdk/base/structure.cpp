#include <orrery/structure.h>

namespace orrery {

std::string to_string(Capability capability) {
  switch (capability) {
    case Capability::cyclic:
      return "cyclic";
    case Capability::group:
      return "group";
    case Capability::relevant_positions:
      return "relevant-position";
    case Capability::repeats:
      return "repeat";
  }
  return "unknown";
}

bool offers(const Structure& structure, Capability capability) {
  switch (capability) {
    case Capability::cyclic:
      return structure.cyclic.has_value();
    case Capability::group:
      return structure.group.has_value();
    case Capability::relevant_positions:
      return structure.relevant_positions.has_value();
    case Capability::repeats:
      return structure.repeats.has_value();
  }
  return false;
}

}  // namespace orrery
