#include "engine/import/pickle_globals.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "engine/import/shown.h"
#include "engine/import/strides.h"

namespace orrery::engine::pickle {
namespace {

using Arguments = std::vector<Ref>;

struct StorageType {
  const char* name;
  Dtype dtype;
};
constexpr std::array<StorageType, 10> storage_types{{{"torch.DoubleStorage", Dtype::F64},
                                                     {"torch.FloatStorage", Dtype::F32},
                                                     {"torch.HalfStorage", Dtype::F16},
                                                     {"torch.BFloat16Storage", Dtype::BF16},
                                                     {"torch.LongStorage", Dtype::I64},
                                                     {"torch.IntStorage", Dtype::I32},
                                                     {"torch.ShortStorage", Dtype::I16},
                                                     {"torch.CharStorage", Dtype::I8},
                                                     {"torch.ByteStorage", Dtype::U8},
                                                     {"torch.BoolStorage", Dtype::BOOL}}};

// The arguments of numpy.dtype.
constexpr std::array<StorageType, 9> numpy_dtypes{{{"f8", Dtype::F64},
                                                   {"f4", Dtype::F32},
                                                   {"f2", Dtype::F16},
                                                   {"i8", Dtype::I64},
                                                   {"i4", Dtype::I32},
                                                   {"i2", Dtype::I16},
                                                   {"i1", Dtype::I8},
                                                   {"u1", Dtype::U8},
                                                   {"b1", Dtype::BOOL}}};

// Values that cannot be called. (A name that nothing here knows is taken for a class.)
const std::set<std::string>& symbols() {
  static const auto* all = new std::set<std::string>{
      "torch.float64", "torch.float32", "torch.float16", "torch.bfloat16", "torch.int64",
      "torch.int32",   "torch.int16",   "torch.int8",    "torch.uint8",    "torch.bool"};
  return *all;
}

// Modules that run programs, open files or connections, or make code. Nothing here would call them; but a
// file that names one is meant to do harm when Python opens it, and whoever has it should know.
const std::set<std::string_view>& harmful_modules() {
  static const auto* all = new std::set<std::string_view>{
      "os",  "posix",  "nt",      "subprocess", "sys",     "runpy",  "importlib", "shutil",         "socket",
      "pty", "ctypes", "marshal", "pickle",     "_pickle", "urllib", "asyncio",   "multiprocessing"};
  return *all;
}
// What is harmless in them.
const std::set<std::string_view>& harmless_builtins() {
  static const auto* all = new std::set<std::string_view>{
      "dict",   "list",      "int",     "float",    "complex",       "bool",  "str",
      "bytes",  "bytearray", "tuple",   "set",      "frozenset",     "slice", "range",
      "object", "type",      "getattr", "Ellipsis", "NotImplemented"};
  return *all;
}

[[noreturn]] void refuse_arguments(const std::string& global) {
  throw Error(fmt::format("{} is called with arguments it does not take", global));
}

std::optional<std::vector<int64_t>> integers(Ref object) {
  const List* list = object->as<List>();
  if (!list) return {};
  std::vector<int64_t> values;
  for (const Ref item : list->items) {
    const int64_t* value = item->as<int64_t>();
    if (!value || *value < 0) return {};
    values.push_back(*value);
  }
  return values;
}

// The number of elements; nothing on overflow.
std::optional<uint64_t> count_of(const std::vector<int64_t>& shape) {
  uint64_t count = 1;
  for (const int64_t size : shape)
    if (__builtin_mul_overflow(count, static_cast<uint64_t>(size), &count)) return {};
  return count;
}

// Throws unless every element lies within the storage.
void check_tensor(const StoredTensor& tensor) {
  constexpr size_t max_rank = 64;
  if (tensor.shape.size() != tensor.strides.size() || tensor.shape.size() > max_rank)
    throw Error(
        fmt::format("a tensor of {} dimensions has {} strides", tensor.shape.size(), tensor.strides.size()));
  const uint64_t available = tensor.storage.size() / size_of(tensor.dtype);
  uint64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    if (tensor.shape[i] == 0) return;
    uint64_t reach;
    if (__builtin_mul_overflow(static_cast<uint64_t>(tensor.shape[i] - 1),
                               static_cast<uint64_t>(tensor.strides[i]), &reach) ||
        __builtin_add_overflow(last, reach, &last))
      throw Error("a tensor's shape and strides overflow");
  }
  const auto count = count_of(tensor.shape);
  if (last >= available || !count)
    throw Error(fmt::format("a tensor reaches to element {} of a storage with {}", last, available));
  // Repeated rows would let a small file ask for any amount of memory.
  constexpr uint64_t max_expanded = 1 << 20;
  if (*count > std::max(available, max_expanded))
    throw Error(
        fmt::format("a tensor of {} elements is an expanded view of a storage with {}", *count, available),
        "save it with .clone()");
}

Object rebuild_tensor(const std::string& global, const Arguments& arguments) {
  const size_t most = global == "torch._utils._rebuild_tensor" ? 4 : 7;
  if (arguments.size() < 4 || arguments.size() > most) refuse_arguments(global);
  const Other* storage = arguments[0]->as<Other>();
  const int64_t* offset = arguments[1]->as<int64_t>();
  auto shape = integers(arguments[2]), strides = integers(arguments[3]);
  if (!storage || storage->name != "storage" || !offset || *offset < 0 || !shape || !strides)
    refuse_arguments(global);
  StoredTensor tensor{storage->dtype, std::move(*shape), std::move(*strides), static_cast<uint64_t>(*offset),
                      storage->storage};
  check_tensor(tensor);
  return {std::move(tensor)};
}

// (data, requires_grad, hooks), and the attributes that Python code gave it.
Object rebuild_parameter(const std::string& global, const Arguments& arguments) {
  if (arguments.size() < 3 || arguments.size() > 4 || !arguments[0]->as<StoredTensor>())
    refuse_arguments(global);
  return *arguments[0];
}

uint64_t element_at(const StoredTensor& tensor, uint64_t row, uint64_t column) {
  return tensor.offset + row * static_cast<uint64_t>(tensor.strides[0]) +
         column * static_cast<uint64_t>(tensor.strides[1]);
}

// (layout, (indices, values, size, ...)) of a sparse tensor in coordinates, as a dense one. Coordinates that
// come twice add up in PyTorch; a parameter has none.
Object rebuild_sparse(const std::string& global, const Arguments& arguments,
                      std::deque<std::string>& buffers) {
  const List* parts = arguments.size() < 2 ? nullptr : arguments[1]->as<List>();
  if (!parts || parts->items.size() < 3) refuse_arguments(global);
  const auto* indices = parts->items[0]->as<StoredTensor>();
  const auto* values = parts->items[1]->as<StoredTensor>();
  const auto shape = integers(parts->items[2]);
  const auto count = shape ? count_of(*shape) : std::nullopt;
  const auto strides = shape ? strides_of(*shape) : std::nullopt;
  constexpr uint64_t max_dense = 1 << 24;
  if (!indices || !values || !count || !strides || *count > max_dense || indices->dtype != Dtype::I64 ||
      indices->shape.size() != 2 || values->shape.size() != 1 || indices->shape[1] != values->shape[0] ||
      indices->shape[0] != static_cast<int64_t>(shape->size()))
    refuse_arguments(global);
  const size_t size = size_of(values->dtype);
  std::string& dense = buffers.emplace_back(*count * size, '\0');
  for (uint64_t i = 0; i < static_cast<uint64_t>(values->shape[0]); ++i) {
    uint64_t at = 0;
    for (uint64_t dim = 0; dim < shape->size(); ++dim) {
      int64_t index;
      std::memcpy(&index, indices->storage.data() + element_at(*indices, dim, i) * sizeof index,
                  sizeof index);
      if (index < 0 || index >= (*shape)[dim]) refuse_arguments(global);
      at = at * static_cast<uint64_t>((*shape)[dim]) + static_cast<uint64_t>(index);
    }
    const uint64_t from = values->offset + i * static_cast<uint64_t>(values->strides[0]);
    std::memcpy(dense.data() + at * size, values->storage.data() + from * size, size);
  }
  return {StoredTensor{values->dtype, *shape, *strides, 0, std::as_bytes(std::span(dense))}};
}

// OrderedDict(), OrderedDict([[key, value], ...]), defaultdict(factory).
Object dict(const std::string& global, const Arguments& arguments) {
  Dict made;
  if (global == "collections.OrderedDict" && !arguments.empty()) {
    const List* pairs = arguments[0]->as<List>();
    if (!pairs) refuse_arguments(global);
    for (const Ref item : pairs->items) {
      const List* pair = item->as<List>();
      if (!pair || pair->items.size() != 2) refuse_arguments(global);
      made.entries.emplace_back(pair->items[0], pair->items[1]);
    }
  }
  return {std::move(made)};
}

Object list(const std::string& global, const Arguments& arguments) {
  if (arguments.empty()) return {List{}};
  const List* items = arguments[0]->as<List>();
  if (arguments.size() != 1 || !items) refuse_arguments(global);
  return {*items};
}

// Bytes in protocol 2: text whose characters are the bytes.
Object encode(const std::string& global, const Arguments& arguments) {
  const std::string* text = arguments.empty() ? nullptr : arguments[0]->as<std::string>();
  const std::string* codec = arguments.size() < 2 ? nullptr : arguments[1]->as<std::string>();
  if (!text || !codec || (*codec != "latin1" && *codec != "latin-1")) refuse_arguments(global);
  Bytes bytes;
  for (size_t i = 0; i < text->size(); ++i) {
    const auto first = static_cast<unsigned char>((*text)[i]);
    if (first < 0x80) {
      bytes.data += static_cast<char>(first);
      continue;
    }
    if ((first != 0xc2 && first != 0xc3) || i + 1 == text->size()) refuse_arguments(global);
    bytes.data += static_cast<char>(((first & 3) << 6) | (static_cast<unsigned char>((*text)[++i]) & 0x3f));
  }
  return {std::move(bytes)};
}

Object numpy_dtype(const std::string& global, const Arguments& arguments) {
  const std::string* name = arguments.empty() ? nullptr : arguments[0]->as<std::string>();
  if (!name) refuse_arguments(global);
  for (const auto& [known, dtype] : numpy_dtypes)
    if (*name == known) return {Other{"numpy.dtype", dtype, {}}};
  return {Other{"numpy.dtype of another kind", Dtype::U8, {}}};
}

const Other* as_numpy_dtype(Ref object) {
  const Other* other = object->as<Other>();
  return other && other->name == "numpy.dtype" ? other : nullptr;
}

template <class T>
T read_as(const std::string& data) {
  T value;
  std::memcpy(&value, data.data(), sizeof value);
  return value;
}

Object numpy_scalar(const std::string& global, const Arguments& arguments) {
  const Other* dtype = arguments.empty() ? nullptr : as_numpy_dtype(arguments[0]);
  const Bytes* bytes = arguments.size() < 2 ? nullptr : arguments[1]->as<Bytes>();
  if (!dtype || !bytes) return {Other{global, Dtype::U8, {}}};
  if (bytes->data.size() != size_of(dtype->dtype)) refuse_arguments(global);
  switch (dtype->dtype) {
    case Dtype::F64:
      return {read_as<double>(bytes->data)};
    case Dtype::F32:
      return {static_cast<double>(read_as<float>(bytes->data))};
    case Dtype::I64:
      return {read_as<int64_t>(bytes->data)};
    case Dtype::I32:
      return {static_cast<int64_t>(read_as<int32_t>(bytes->data))};
    case Dtype::I16:
      return {static_cast<int64_t>(read_as<int16_t>(bytes->data))};
    case Dtype::BOOL:
      return {bytes->data[0] != 0};
    default:
      return {Other{global, Dtype::U8, {}}};
  }
}

// ndarray.__setstate__((version, shape, dtype, is_fortran, bytes)).
void build_array(Object& object, Ref state) {
  const List* parts = state->as<List>();
  if (!parts || parts->items.size() != 5) refuse_arguments("numpy.ndarray");
  auto shape = integers(parts->items[1]);
  const Other* dtype = as_numpy_dtype(parts->items[2]);
  const bool* fortran = parts->items[3]->as<bool>();
  const Bytes* bytes = parts->items[4]->as<Bytes>();
  if (!dtype || !bytes) return;  // strings, dates, objects: not numbers of a network
  if (!shape || !fortran || shape->size() > 64) refuse_arguments("numpy.ndarray");
  const auto count = count_of(*shape);
  if (!count || *count > bytes->data.size() || *count * size_of(dtype->dtype) != bytes->data.size())
    refuse_arguments("numpy.ndarray");
  auto strides = strides_of(*shape, *fortran);
  if (!strides) refuse_arguments("numpy.ndarray");
  object.value = StoredTensor{dtype->dtype, std::move(*shape), std::move(*strides), 0,
                              std::as_bytes(std::span(bytes->data))};
}

// dtype.__setstate__((version, byte order, ...)).
void build_dtype(Other& dtype, Ref state) {
  const List* parts = state->as<List>();
  const std::string* order = parts && parts->items.size() > 1 ? parts->items[1]->as<std::string>() : nullptr;
  if (!order || (*order != "<" && *order != "|" && *order != "=")) dtype.name = "numpy.dtype of another kind";
}

// A dict, or (dict or None, dict of slots); any other state says nothing of a network.
void add_state(Instance& instance, Ref state) {
  auto& entries = instance.attributes.entries;
  const auto add = [&](Ref part) {
    if (const Dict* dict = part->as<Dict>())
      entries.insert(entries.end(), dict->entries.begin(), dict->entries.end());
  };
  if (state->as<Dict>()) return add(state);
  const List* pair = state->as<List>();
  if (pair && pair->items.size() == 2)
    for (const Ref part : pair->items) add(part);
}

using Construct = Object (*)(const std::string& global, const Arguments&);

// By their names in Python 3; see python3_name.
const std::map<std::string, Construct>& constructors() {
  static const auto* all = new std::map<std::string, Construct>{
      {"collections.OrderedDict", dict},
      {"collections.defaultdict", dict},
      {"builtins.set", list},
      {"builtins.frozenset", list},
      {"torch.Size", list},
      {"torch.device",
       [](const std::string& global, const Arguments&) {
         return Object{Other{global, Dtype::U8, {}}};
       }},
      {"torch._utils._rebuild_tensor", rebuild_tensor},
      {"torch._utils._rebuild_tensor_v2", rebuild_tensor},
      {"torch._utils._rebuild_parameter", rebuild_parameter},
      {"torch._utils._rebuild_parameter_with_state", rebuild_parameter},
      {"_codecs.encode", encode},
      {"numpy.dtype", numpy_dtype},
      {"numpy.core.multiarray.scalar", numpy_scalar},
      {"numpy.core.multiarray._reconstruct",
       [](const std::string&, const Arguments&) {
         return Object{Other{"numpy.ndarray", Dtype::U8, {}}};
       }},
  };
  return *all;
}

// Protocol 2 has the module names of Python 2; NumPy 2 moved its own.
std::string python3_name(const std::string& name) {
  constexpr std::pair<std::string_view, std::string_view> moved[] = {{"__builtin__.", "builtins."},
                                                                     {"numpy._core.", "numpy.core."}};
  for (const auto& [old, now] : moved)
    if (name.starts_with(old)) return std::string(now) + name.substr(old.size());
  return name;
}

std::optional<Dtype> storage_dtype(const std::string& name) {
  for (const auto& [known, dtype] : storage_types)
    if (name == known) return dtype;
  return {};
}

}  // namespace

bool harmless_global(const std::string& given) {
  const std::string name = python3_name(given);
  if (constructors().contains(name)) return true;
  const std::string_view module = std::string_view(name).substr(0, name.find('.'));
  if (module == "builtins") return harmless_builtins().contains(std::string_view(name).substr(9));
  // torch.load, torch.hub.load, torch.jit...: they read files, and what those hold is run.
  if (name == "torch.load" || name.starts_with("torch.hub.")) return false;
  return !harmful_modules().contains(module);
}

Object construct(const std::string& given, const Arguments& arguments, std::deque<std::string>& buffers) {
  const std::string name = python3_name(given);
  if (const auto known = constructors().find(name); known != constructors().end())
    return known->second(name, arguments);
  if (name == "torch.storage._load_from_bytes")
    throw Error("it was pickled without torch.save, with each tensor as a file of its own, which is not read",
                "in Python, if it is yours: torch.save(pickle.load(open(OLD, \"rb\")), NEW)");
  if (name == "torch._utils._rebuild_sparse_tensor") return rebuild_sparse(name, arguments, buffers);
  if (symbols().contains(name) || storage_dtype(name) || name.find('.') == name.npos)
    throw Error(fmt::format("{} is called, which is not callable", shown(given)));
  return {Instance{given, arguments, {}}};
}

void build(Object& object, Ref state) {
  Other* other = std::get_if<Other>(&object.value);
  if (other && other->name == "numpy.dtype") return build_dtype(*other, state);
  if (other && other->name == "numpy.ndarray") return build_array(object, state);
  if (auto* instance = std::get_if<Instance>(&object.value)) add_state(*instance, state);
}

Object storage_of(Ref persistent_id, const FindStorage& find_storage) {
  const List* parts = persistent_id->as<List>();
  const auto text = [&](size_t i) { return parts->items[i]->as<std::string>(); };
  // Files older than zip archives put the source of a module's class beside its name.
  if (parts && parts->items.size() >= 2 && text(0) && *text(0) == "module" && parts->items[1]->as<Other>())
    return *parts->items[1];
  if (!parts || parts->items.size() < 5 || !text(0) || *text(0) != "storage" || !text(2))
    throw Error("a persistent id that is not one of a storage");
  const Other* type = parts->items[1]->as<Other>();
  const auto dtype = type ? storage_dtype(type->name) : std::nullopt;
  const int64_t* count = parts->items[4]->as<int64_t>();
  if (!dtype || !count || *count < 0) throw Error("a storage without type and size");
  uint64_t size;
  if (__builtin_mul_overflow(static_cast<uint64_t>(*count), size_of(*dtype), &size))
    throw Error(fmt::format("a storage of {} elements, whose size overflows", *count));
  const auto data = find_storage(*text(2), size);
  const uint64_t available = data.size() / size_of(*dtype);
  if (static_cast<uint64_t>(*count) > available)
    throw Error(fmt::format("storage {} is said to have {} elements, found {} bytes of {}", shown(*text(2)),
                            *count, data.size(), safetensors::name_of(*dtype)));
  return {Other{"storage", *dtype, data.first(static_cast<size_t>(*count) * size_of(*dtype))}};
}

}  // namespace orrery::engine::pickle
