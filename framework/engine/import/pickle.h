// Reads Python pickles without Python: a machine that builds only containers, numbers, text and tensors. It
// never calls anything that a file names, and refuses by name what it does not know. Free of LibTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "sdk/files/safetensors.h"

namespace orrery::engine::pickle {

using safetensors::Dtype;

/// A tensor as PyTorch stores it: a view into a storage that others may share.
struct StoredTensor {
  Dtype dtype = Dtype::F32;
  std::vector<int64_t> shape, strides;  ///< strides count elements, and are not negative
  uint64_t offset = 0;                  ///< of the first element, in elements
  std::span<const std::byte> storage;   ///< contains every element
};

struct Object;
using Ref = const Object*;  ///< never null; references may form cycles

struct List {  ///< also a tuple and a set
  std::vector<Ref> items;
};
struct Dict {  ///< in the order in which keys were set; for a repeated key the last counts
  std::vector<std::pair<Ref, Ref>> entries;
};
struct Bytes {
  std::string data;
};
/// A storage, the name of a constructor, a device: an object without a value of its own.
struct Other {
  std::string name;
  Dtype dtype = Dtype::F32;            ///< for a storage or a NumPy dtype
  std::span<const std::byte> storage;  ///< for a storage
};

struct Object {
  std::variant<std::monostate, bool, int64_t, double, std::string, Bytes, List, Dict, StoredTensor, Other>
      value;  ///< monostate: None

  template <class T>
  const T* as() const {
    return std::get_if<T>(&value);
  }
  /// The value of a dict under this key, or null; always null for other objects.
  Ref find(std::string_view key) const;
  /// "a dict with 3 keys", "the integer 7": for messages.
  std::string describe() const;
};

/// Owns all objects that a pickle made.
struct Heap {
  std::deque<Object> objects;
  Ref root = nullptr;
};

/// The bytes of the storage that PyTorch calls `key`; throws orrery::Error if there is none.
using FindStorage = std::function<std::span<const std::byte>(const std::string& key)>;

/// Runs a pickle of protocol 2 to 5. Its tensors point into the bytes that `find_storage` returned, and each
/// lies within its storage. Throws orrery::Error, opening with `where`, on anything malformed and on every
/// global except collections.OrderedDict and defaultdict, set and frozenset, torch._utils._rebuild_tensor,
/// _rebuild_tensor_v2, _rebuild_parameter, torch's storages, Size, device and dtypes, numpy's dtype, scalar
/// and ndarray.
Heap unpickle(std::span<const std::byte> bytes, const FindStorage& find_storage, const std::string& where);

}  // namespace orrery::engine::pickle
