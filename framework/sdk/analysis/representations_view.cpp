#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/groups.h>

namespace orrery {
namespace {

OperandIndices indices_in(const Structure& structure, const FiniteGroup& group) {
  auto indices = structure.group ? OperandIndices(*structure.group) : OperandIndices(*structure.cyclic);
  if (indices.order() != group.order())
    throw Error(
        fmt::format("the structure is of order {}, the group of order {}", indices.order(), group.order()),
        "the group of a task is group_of(structure)");
  return indices;
}

}  // namespace

GroupView::GroupView(const Observation& observation, const FiniteGroup& group)
    : OperandGrid(indices_in(observation.structure, group), observation) {}

}  // namespace orrery
