#include "engine/import/weights_file.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "engine/import/damage.h"
#include "engine/import/numpy_file.h"
#include "engine/import/shown.h"
#include "engine/import/strides.h"
#include "engine/import/zip.h"
#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

using Bytes = std::span<const std::byte>;
using pickle::Heap;

// The magic number of torch.save files older than zip archives, pickled: 0x1950a86a20f9469cfc6c.
constexpr std::string_view legacy_start = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

// The members of an archive by their names below its one folder, and the pickle among them.
struct Archive {
  std::map<std::string, Bytes> members;
  Bytes pickle;

  Archive(const std::vector<zip::Member>& all, const std::string& where) {
    const auto main =
        std::find_if(all.begin(), all.end(), [](auto& m) { return m.name.ends_with("/data.pkl"); });
    if (main == all.end())
      throw Error(where + ": a zip archive, but not one of torch.save or numpy.savez: it has no data.pkl",
                  "unpack it, and import the file of weights inside");
    const std::string folder = main->name.substr(0, main->name.size() - std::strlen("data.pkl"));
    for (const zip::Member& member : all)
      if (member.name.starts_with(folder)) members[member.name.substr(folder.size())] = member.data;
    pickle = main->data;
    if (const auto order = members.find("byteorder");
        order != members.end() && text_of(order->second) != "little")
      throw Error(where + ": saved on a big-endian machine", "save it anew on a little-endian one");
  }
};

// Archives of PyTorch that hold a program, some of whose members are compressed.
void refuse_programs(const std::vector<std::string>& names, const std::string& where) {
  const auto any = [&](auto&& is) { return std::any_of(names.begin(), names.end(), is); };
  const bool code =
      any([](const std::string& name) { return name.find("/code/") != name.npos && name.ends_with(".py"); });
  if (code || any([](const std::string& name) { return name.ends_with("/constants.pkl"); }))
    throw UsageError(
        where + ": a TorchScript module (torch.jit.save), which is a program and not only weights",
        "in Python, save its weights: torch.save(torch.jit.load(OLD).state_dict(), NEW)");
  if (any([](const std::string& name) {
        return name.ends_with("serialized_exported_program.json") || name.ends_with("/models/model.json");
      }))
    throw UsageError(where + ": an exported program (torch.export.save), and not only weights",
                     "in Python, save its weights: torch.save(torch.export.load(OLD).state_dict, NEW)");
}

Heap parse_archive(Bytes bytes, const std::string& where) {
  refuse_programs(zip::names(bytes, where), where);
  const std::vector<zip::Member> members = zip::read(bytes, where);
  if (is_npz(members)) return parse_npz(members, where);
  const Archive archive(members, where);
  return pickle::unpickle(
      archive.pickle,
      [&](const std::string& key, uint64_t) {
        const auto found = archive.members.find("data/" + key);
        if (found == archive.members.end())
          throw Error(fmt::format("there is no storage {} in the archive", shown(key)));
        return found->second;
      },
      where);
}

// A file of PyTorch before 1.6: pickles of the magic number, the version, the machine, the object and the
// keys of its storages, and then the storages in that order, each after its number of elements.
class LegacyFile {
 public:
  LegacyFile(Bytes bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  Heap parse() {
    for (int before = 0; before < 3; ++before) skip_pickle();
    const size_t object_at = at_;
    // The storages come after the object that refers to them, so it is read twice: first for their sizes.
    std::map<std::string, uint64_t> sizes;
    const std::string zeros(bytes_.size(), '\0');
    const Heap sketch = unpickle([&](const std::string& key, uint64_t size) {
      if (size > zeros.size())
        throw Error(fmt::format("storage {} has more bytes than the file", shown(key)));
      sizes[key] = size;
      return std::as_bytes(std::span(zeros)).first(size);
    });
    const Heap keys = unpickle(no_storage);
    const auto storages = read_storages(keys, sizes);
    at_ = object_at;
    return unpickle([&](const std::string& key, uint64_t) {
      const auto found = storages.find(key);
      if (found == storages.end()) throw Error(fmt::format("there is no storage {} in the file", shown(key)));
      return found->second;
    });
  }

 private:
  static Bytes no_storage(const std::string& key, uint64_t) {
    throw Error(fmt::format("storage {} is not where one belongs", shown(key)));
  }
  Heap unpickle(const pickle::FindStorage& find_storage) {
    Heap heap = pickle::unpickle(bytes_.subspan(at_), find_storage, where_);
    at_ += heap.size;
    return heap;
  }
  void skip_pickle() { unpickle(no_storage); }

  std::map<std::string, Bytes> read_storages(const Heap& keys, const std::map<std::string, uint64_t>& sizes) {
    const pickle::List* list = keys.root->as<pickle::List>();
    if (!list) throw Error(where_ + ": its list of storages is none", "copy or download the file again");
    std::map<std::string, Bytes> storages;
    for (const pickle::Ref item : list->items) {
      const std::string* key = item->as<std::string>();
      const auto size = key ? sizes.find(*key) : sizes.end();
      constexpr size_t count_size = sizeof(int64_t);
      if (size == sizes.end() || bytes_.size() - at_ < count_size ||
          size->second > bytes_.size() - at_ - count_size)
        throw Error(where_ + ": it ends within its storages", "copy or download the file again");
      storages[*key] = bytes_.subspan(at_ + count_size, size->second);
      at_ += count_size + size->second;
    }
    return storages;
  }

  Bytes bytes_;
  const std::string& where_;
  size_t at_ = 0;
};

// A network that was pickled without torch.save: NumPy's arrays are whole in it.
Heap parse_bare_pickle(Bytes bytes, const std::string& where) {
  return pickle::unpickle(
      bytes,
      [](const std::string&, uint64_t) -> Bytes {
        throw Error("it refers to storages, which are not in the file", "in Python: torch.save(OBJECT, NEW)");
      },
      where);
}

Heap parse_array(Bytes bytes, const std::string& where) {
  Heap heap;
  heap.root = &heap.objects.emplace_back(pickle::Object{parse_npy(bytes, where)});
  return heap;
}

Heap parse_safetensors(Bytes bytes, const std::string& where) {
  Heap heap;
  pickle::Dict root;
  std::map<std::string, pickle::Ref> by_name;
  const auto add = [&](const std::string& name, pickle::Ref tensor) {
    root.entries.emplace_back(&heap.objects.emplace_back(pickle::Object{name}), tensor);
    by_name[name] = tensor;
  };
  const safetensors::Contents contents = safetensors::parse(bytes, where);
  for (const safetensors::TensorView& view : contents.tensors)
    // Its strides do not overflow: its elements are in the file (or it has none).
    add(view.name, &heap.objects.emplace_back(pickle::Object{pickle::StoredTensor{
                       view.dtype, view.shape, strides_of(view.shape).value_or(view.shape), 0, view.data}}));
  // Tensors that share their memory are written once; the metadata have the other names.
  for (const auto& [name, kept] : contents.metadata)
    if (const auto found = by_name.find(kept); found != by_name.end() && !by_name.contains(name))
      add(name, found->second);
  heap.root = &heap.objects.emplace_back(pickle::Object{std::move(root)});
  return heap;
}

// The opcodes of pickle protocol 2 that a state dict needs; see pickle.cpp.
class StateDictPickle {
 public:
  StateDictPickle() { text_ = "\x80\x02" + std::string(ordered_dict) + "("; }

  void add(const safetensors::TensorView& tensor, const std::string& key) {
    string(tensor.name);
    text_ += "ctorch._utils\n_rebuild_tensor_v2\n((";
    string("storage");
    text_ += fmt::format("ctorch\n{}Storage\n", storage_name(tensor.dtype));
    string(key);
    string("cpu");
    integer(static_cast<int64_t>(tensor.data.size() / size_of(tensor.dtype)));
    text_ += "tQ";
    integer(0);
    std::vector<int64_t> strides(tensor.shape.size(), 1);
    for (size_t i = strides.size(); i-- > 1;)
      strides[i - 1] = strides[i] * std::max<int64_t>(tensor.shape[i], 1);
    tuple(tensor.shape);
    tuple(strides);
    text_ += "\x89" + std::string(ordered_dict) + "tR";
  }
  std::string end() { return text_ + "u."; }

 private:
  static constexpr std::string_view ordered_dict = "ccollections\nOrderedDict\n)R";

  static const char* storage_name(safetensors::Dtype dtype) {
    static constexpr std::array names{"Double", "Float", "Half", "BFloat16", "Long",
                                      "Int",    "Short", "Char", "Byte",     "Bool"};
    return names.at(static_cast<size_t>(dtype));
  }
  template <class Integer>
  void raw(Integer value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void string(const std::string& value) {
    text_ += 'X';
    raw(static_cast<uint32_t>(value.size()));
    text_ += value;
  }
  void integer(int64_t value) {
    text_ += "\x8a\x08";
    raw(value);
  }
  void tuple(const std::vector<int64_t>& values) {
    text_ += '(';
    for (const int64_t value : values) integer(value);
    text_ += 't';
  }

  std::string text_;
};

}  // namespace

namespace {

Heap parse_known_format(Bytes bytes, const std::string& where) {
  const std::string_view text = text_of(bytes);
  if (zip::is_archive(bytes)) return parse_archive(bytes, where);
  if (text.starts_with(legacy_start)) return LegacyFile(bytes, where).parse();
  if (is_npy(bytes)) return parse_array(bytes, where);
  if (bytes.size() > 8 && bytes[8] == std::byte{'{'}) return parse_safetensors(bytes, where);
  if (text.starts_with("\x80")) return parse_bare_pickle(bytes, where);
  throw UsageError(
      where + ": not a file of weights that can be read",
      "expected one of torch.save (.pt, .pth, .ckpt), .safetensors, .npz or .npy; was it cut short?");
}

}  // namespace

Heap parse_weights(Bytes bytes, const std::string& where) {
  refuse_other_things(bytes, where);
  try {
    return parse_known_format(bytes, where);
  } catch (const Error&) {
    refuse_text(bytes, where);
    throw;
  }
}

namespace {

// W_E.npy, W_U.npy, ...: one network, whose weights have the names of the files.
Heap parse_npy_folder(const std::filesystem::path& folder) {
  Heap heap;
  pickle::Dict root;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".npy") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    const std::string& bytes = heap.buffers.emplace_back(read_file(file));
    const pickle::Ref key = &heap.objects.emplace_back(pickle::Object{file.stem().string()});
    pickle::StoredTensor array = parse_npy(std::as_bytes(std::span(bytes)), file.string());
    root.entries.emplace_back(key, &heap.objects.emplace_back(pickle::Object{std::move(array)}));
  }
  heap.root = &heap.objects.emplace_back(pickle::Object{std::move(root)});
  return heap;
}

}  // namespace

WeightsFile::WeightsFile(const std::filesystem::path& path) : path_(path) {
  std::error_code failure;
  if (!std::filesystem::exists(path, failure)) throw UsageError(path.string() + ": no such file");
  if (std::filesystem::is_directory(path, failure)) {
    heap_ = parse_npy_folder(path);
    return;
  }
  if (!std::filesystem::is_regular_file(path, failure))
    throw UsageError(path.string() + ": expected a file, found a device");
  bytes_ = read_file(path);
  heap_ = parse_weights(std::as_bytes(std::span(bytes_)), path.string());
}

std::vector<std::byte> serialise_torch(const std::vector<safetensors::TensorView>& tensors,
                                       const std::string& where) {
  StateDictPickle pickle;
  for (size_t i = 0; i < tensors.size(); ++i) pickle.add(tensors[i], std::to_string(i));
  const std::string text = pickle.end(), version = "3\n", order = "little";
  const auto bytes_of = [](const std::string& text) { return std::as_bytes(std::span(text)); };
  std::vector<zip::Member> members = {{"archive/data.pkl", bytes_of(text)},
                                      {"archive/byteorder", bytes_of(order)}};
  for (size_t i = 0; i < tensors.size(); ++i)
    members.push_back({"archive/data/" + std::to_string(i), tensors[i].data});
  members.push_back({"archive/version", bytes_of(version)});
  return zip::write(members, where);
}

}  // namespace orrery::engine
