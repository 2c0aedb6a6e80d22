#include "engine/import/weights_file.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "engine/import/shown.h"
#include "engine/import/zip.h"
#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

using Bytes = std::span<const std::byte>;
using pickle::Heap;

// The magic number of torch.save files older than zip archives, pickled: 0x1950a86a20f9469cfc6c.
constexpr std::string_view legacy_start = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr const char* save_again =
    "in Python, save it anew: torch.save(torch.load(OLD, map_location=\"cpu\"), NEW)";

std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// The members of an archive by their names below its one folder, and the pickle among them.
struct Archive {
  std::map<std::string, Bytes> members;
  Bytes pickle;

  Archive(Bytes bytes, const std::string& where) {
    const std::vector<zip::Member> all = zip::read(bytes, where);
    const auto main =
        std::find_if(all.begin(), all.end(), [](auto& m) { return m.name.ends_with("/data.pkl"); });
    if (main == all.end())
      throw Error(where + ": a zip archive, but not one of torch.save: it has no data.pkl",
                  "unpack it, and import the file of weights inside");
    const std::string folder = main->name.substr(0, main->name.size() - std::strlen("data.pkl"));
    for (const zip::Member& member : all)
      if (member.name.starts_with(folder)) members[member.name.substr(folder.size())] = member.data;
    pickle = main->data;
    if (members.contains("constants.pkl"))
      throw Error(where + ": a TorchScript module, which is a program",
                  "in Python, save its weights: torch.save(torch.jit.load(OLD).state_dict(), NEW)");
    if (const auto order = members.find("byteorder");
        order != members.end() && text_of(order->second) != "little")
      throw Error(where + ": saved on a big-endian machine", "save it anew on a little-endian one");
  }
};

Heap parse_torch(Bytes bytes, const std::string& where) {
  const Archive archive(bytes, where);
  return pickle::unpickle(
      archive.pickle,
      [&](const std::string& key) {
        const auto found = archive.members.find("data/" + key);
        if (found == archive.members.end())
          throw Error(fmt::format("there is no storage {} in the archive", shown(key)));
        return found->second;
      },
      where);
}

Heap parse_safetensors(Bytes bytes, const std::string& where) {
  Heap heap;
  pickle::Dict root;
  for (safetensors::TensorView& view : safetensors::parse(bytes, where).tensors) {
    pickle::StoredTensor tensor{view.dtype, view.shape, std::vector<int64_t>(view.shape.size(), 1), 0,
                                view.data};
    for (size_t i = view.shape.size(); i-- > 1;) tensor.strides[i - 1] = tensor.strides[i] * view.shape[i];
    const pickle::Ref key = &heap.objects.emplace_back(pickle::Object{std::move(view.name)});
    root.entries.emplace_back(key, &heap.objects.emplace_back(pickle::Object{std::move(tensor)}));
  }
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

Heap parse_weights(Bytes bytes, const std::string& where) {
  if (zip::is_archive(bytes)) return parse_torch(bytes, where);
  if (text_of(bytes).starts_with(legacy_start))
    throw Error(where + ": saved in the format of PyTorch before 1.6, which is not read", save_again);
  if (bytes.size() > 8 && bytes[8] == std::byte{'{'}) return parse_safetensors(bytes, where);
  if (text_of(bytes).starts_with("\x80"))
    throw Error(where + ": a bare pickle, not a file of torch.save", "in Python: torch.save(OBJECT, NEW)");
  throw Error(
      where + ": neither a file of torch.save nor a safetensors file",
      "expected .pth or .pt (a zip archive, PyTorch 1.6 or later) or .safetensors; was it cut short?");
}

WeightsFile::WeightsFile(const std::filesystem::path& path) : path_(path) {
  std::error_code failure;
  if (!std::filesystem::exists(path, failure)) throw UsageError(path.string() + ": no such file");
  if (!std::filesystem::is_regular_file(path, failure))
    throw UsageError(path.string() + ": expected a file, found a folder or device");
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
