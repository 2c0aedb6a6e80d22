// The capabilities of a task: structure that it declares and probes rely on.
#pragma once

#include <orrery/export.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace orrery {

/// The operation is addition in the cyclic group of `order` elements, after renaming:
///     result[c] = left[a] + right[b]  (mod order)    whenever c = a op b and all three have an index.
/// Addition mod p: the three maps are the identity. Subtraction: right[b] = -b. Multiplication mod a prime p:
/// order p - 1 and discrete logarithms; 0 has no index (-1), and probes leave out inputs that contain it.
struct CyclicStructure {
  int64_t order = 0;
  std::vector<int64_t> left;    ///< index of each value of the first operand, -1 if it has none
  std::vector<int64_t> right;   ///< likewise for the second operand
  std::vector<int64_t> result;  ///< index of each output class, -1 if it has none
  int64_t left_position = 0;    ///< of the first operand, in the context
  int64_t right_position = 1;   ///< of the second operand
};

/// The inputs are two elements x, y of a finite group of n elements, at two positions of the context.
struct GroupStructure {
  /// [n][n]: table[x][y] is the product x y (for permutations: first y, then x). Tokens and classes 0..n-1
  /// are the elements.
  std::vector<std::vector<int64_t>> table;
  std::vector<std::string> names;  ///< of the elements, as a person would write them
  /// Whether the label of (x, y) is x y itself, rather than another word such as x y x^-1.
  bool label_is_product = true;
  int64_t left_position = 0, right_position = 1;
};

/// The positions of the context that the labels depend on; tokens at the others do not matter.
struct RelevantPositions {
  std::vector<int64_t> positions;  ///< ascending, counted from 0
};

/// Each input repeats a stretch of tokens; Batch::repeat_of says where.
struct RepeatStructure {
  int64_t length = 0;  ///< tokens in the stretch
  int64_t times = 0;   ///< how often it occurs
};

/// The capabilities of a task; an empty optional means that the task does not have it. A declaration must
/// hold for every input. The host cannot check all of it, so the test of the task should.
struct Structure {
  std::optional<CyclicStructure> cyclic = {};
  std::optional<GroupStructure> group = {};
  std::optional<RelevantPositions> relevant_positions = {};
  std::optional<RepeatStructure> repeats = {};
};

/// The capabilities by name, for Needs::structure.
enum class Capability { cyclic, group, relevant_positions, repeats };
inline constexpr std::array<Capability, 4> all_capabilities{
    Capability::cyclic, Capability::group, Capability::relevant_positions, Capability::repeats};

/// "cyclic", "group", "relevant-position", "repeat": as in "a task with group structure".
ORRERY_API std::string to_string(Capability capability);
/// Whether `structure` offers `capability`.
ORRERY_API bool offers(const Structure& structure, Capability capability);

}  // namespace orrery
