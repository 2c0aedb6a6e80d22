// Reads Python pickles without Python: a machine that builds containers, numbers, text and tensors, and for
// an object of any other class a stand-in that holds what the file says of it. It never calls anything that a
// file names, and refuses by name what could only be meant to run. Free of LibTorch.
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

/// An object of a class that is not known here: a module, a dataclass, an enum. Inert.
struct Instance {
  std::string type;            ///< "argparse.Namespace"
  std::vector<Ref> arguments;  ///< of its constructor; the items of a subclass of list
  Dict attributes;             ///< its state; the entries of a subclass of dict
};

struct Object {
  std::variant<std::monostate, bool, int64_t, double, std::string, Bytes, List, Dict, StoredTensor, Other,
               Instance>
      value;  ///< monostate: None

  template <class T>
  const T* as() const {
    return std::get_if<T>(&value);
  }
  /// The value of a dict under this key, or the attribute of this name of an instance; null if there is none.
  Ref find(std::string_view key) const;
  /// "a dict with 3 keys", "the integer 7": for messages.
  std::string describe() const;
};

/// Owns all objects that a pickle made.
struct Heap {
  std::deque<Object> objects;
  std::deque<std::string> buffers;  ///< the bytes of tensors that are in the file in another form
  Ref root = nullptr;
  size_t size = 0;  ///< of the pickle, in bytes
};

/// The bytes of the storage that PyTorch calls `key`, which the pickle says has `size` bytes; throws
/// orrery::Error if there is none.
using FindStorage = std::function<std::span<const std::byte>(const std::string& key, uint64_t size)>;

/// Runs the pickle of protocol 2 to 5 at the beginning of `bytes`. Its tensors point into the bytes that
/// `find_storage` returned or into the heap, and each lies within them. Containers, PyTorch's tensors (dense,
/// and sparse ones in coordinates) and NumPy's arrays and scalars become what they are, every other class an
/// Instance. Throws orrery::Error, opening with `where`, on anything malformed, and on the globals of modules
/// that run programs, open files or compile code (os, subprocess, builtins.eval, ...).
Heap unpickle(std::span<const std::byte> bytes, const FindStorage& find_storage, const std::string& where);

}  // namespace orrery::engine::pickle
