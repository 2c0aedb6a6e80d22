// Private to the import room: which part of a transformer a tensor is, by the names that people give. Free of
// LibTorch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace orrery::engine {

enum class Role {
  embed,
  pos,
  unembed,
  ln1,
  ln2,
  ln_final,
  q,
  k,
  v,
  qkv,
  qkv_by_head,
  o,
  mlp_in,
  mlp_out,
  mlp_gate,
  mlp_numbered,  // numbered: a layer of nn.Sequential
  buffer,        // a mask and the like, no weight
};

/// A tensor's name, taken apart: "transformer.h.2.attn.c_attn.weight".
struct NamedPart {
  Role role = Role::buffer;
  bool bias = false;
  bool linear =
      false;  ///< ends in ".weight": of a Linear, whose shape is [out, in], where nothing else is known
  std::string pattern;  ///< the name with "{layer}" and "{head}" for their numbers
  int64_t layer = -1;   ///< -1: no number
  int64_t head = -1;    ///< of a network with a tensor for each head
  int64_t number = -1;  ///< of mlp_numbered
};

/// Nothing for a name that no part of a transformer is known to have.
std::optional<NamedPart> part_of(const std::string& name);

}  // namespace orrery::engine
