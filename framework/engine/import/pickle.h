// Python pickles, read without Python: a machine that knows how to build containers, numbers, text and
// tensors, and nothing else. It calls nothing that a file names; what it does not know it refuses by name.
// Free of LibTorch.
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
  uint64_t offset = 0;                  ///< of its first element, in elements
  std::span<const std::byte> storage;   ///< every element lies within it
};

struct Object;
using Ref = const Object*;  ///< never null; objects may refer to each other in circles

struct List {  ///< also a tuple and a set
  std::vector<Ref> items;
};
struct Dict {  ///< in the order in which keys were set; of a key that was set twice the last counts
  std::vector<std::pair<Ref, Ref>> entries;
};
struct Bytes {
  std::string data;
};
/// A storage, the name of a constructor, a device: something with no value of its own here.
struct Other {
  std::string name;
  Dtype dtype = Dtype::F32;            ///< of a storage, or a NumPy dtype
  std::span<const std::byte> storage;  ///< of a storage
};

struct Object {
  std::variant<std::monostate, bool, int64_t, double, std::string, Bytes, List, Dict, StoredTensor, Other>
      value;  ///< monostate: None

  template <class T>
  const T* as() const {
    return std::get_if<T>(&value);
  }
  /// What a dict has under this text, or null. A list has nothing.
  Ref find(std::string_view key) const;
  /// "a dict with 3 keys", "the integer 7": for messages.
  std::string describe() const;
};

/// What a pickle made. Everything lives as long as this does.
struct Heap {
  std::deque<Object> objects;
  Ref root = nullptr;
};

/// The bytes of the storage that PyTorch calls `key`; throws orrery::Error if there is none.
using FindStorage = std::function<std::span<const std::byte>(const std::string& key)>;

/// Runs a pickle of protocol 2 to 5. Its tensors point into what `find_storage` gave, and each is within its
/// storage. Throws orrery::Error, opening with `where`, on anything malformed, and on every global but these:
/// collections.OrderedDict and defaultdict, set and frozenset, torch._utils._rebuild_tensor,
/// _rebuild_tensor_v2, _rebuild_parameter, torch's storages, Size, device and dtypes, numpy's dtype, scalar
/// and ndarray.
Heap unpickle(std::span<const std::byte> bytes, const FindStorage& find_storage, const std::string& where);

}  // namespace orrery::engine::pickle
