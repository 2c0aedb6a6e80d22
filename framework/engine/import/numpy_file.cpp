#include "engine/import/numpy_file.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "engine/import/shown.h"
#include "engine/import/strides.h"

namespace orrery::engine {
namespace {

using Bytes = std::span<const std::byte>;
using pickle::Dtype;
using pickle::StoredTensor;

constexpr std::string_view npy_start = "\x93NUMPY";

// The header is the literal of a Python dict, written by NumPy:
//   {'descr': '<f4', 'fortran_order': False, 'shape': (8, 8), }
class Header {
 public:
  Header(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  Dtype dtype() const {
    const std::string_view value = after("'descr'");
    const size_t end = value.starts_with('\'') ? value.find('\'', 1) : value.npos;
    if (end == value.npos) fail("an array of records or objects, not of numbers");
    const std::string_view name = value.substr(1, end - 1);
    constexpr std::pair<std::string_view, Dtype> known[] = {
        {"<f8", Dtype::F64}, {"<f4", Dtype::F32}, {"<f2", Dtype::F16},
        {"<i8", Dtype::I64}, {"<i4", Dtype::I32}, {"<i2", Dtype::I16},
        {"|i1", Dtype::I8},  {"|u1", Dtype::U8},  {"|b1", Dtype::BOOL}};
    for (const auto& [numpy, dtype] : known)
      if (name == numpy) return dtype;
    fail(fmt::format("an array of dtype {}", shown(std::string(name))));
  }
  bool fortran_order() const { return after("'fortran_order'").starts_with("True"); }
  std::vector<int64_t> shape() const {
    std::string_view rest = after("'shape'");
    if (!rest.starts_with('(')) fail("no shape");
    std::vector<int64_t> sizes;
    for (rest.remove_prefix(1); !rest.starts_with(')');) {
      int64_t size = -1;
      const auto [end, failure] = std::from_chars(rest.data(), rest.data() + rest.size(), size);
      if (failure != std::errc() || size < 0 || sizes.size() == 64) fail("a shape that is none");
      sizes.push_back(size);
      rest.remove_prefix(static_cast<size_t>(end - rest.data()));
      rest.remove_prefix(std::min(rest.find_first_not_of(", "), rest.size()));
      if (rest.empty()) fail("a shape without its end");
    }
    return sizes;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(fmt::format("{}: not a .npy file that can be read: {}", where_, what),
                "expected numbers in little-endian order, as numpy.save writes them");
  }
  std::string_view after(std::string_view key) const {
    const size_t at = text_.find(key);
    if (at == text_.npos) fail(fmt::format("its header has no {}", key));
    std::string_view rest = text_.substr(at + key.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(": "), rest.size()));
    return rest;
  }
  std::string_view text_;
  const std::string& where_;
};

std::optional<uint64_t> bytes_in(const StoredTensor& tensor) {
  uint64_t size = size_of(tensor.dtype);
  for (const int64_t length : tensor.shape)
    if (__builtin_mul_overflow(size, static_cast<uint64_t>(length), &size)) return {};
  return size;
}

}  // namespace

bool is_npy(Bytes bytes) { return text_of(bytes).starts_with(npy_start); }

StoredTensor parse_npy(Bytes bytes, const std::string& where) {
  const auto refuse = [&](const std::string& what) -> Error {
    return Error(fmt::format("{}: {}", where, what),
                 "the file may have been cut short: copy or download it again");
  };
  // Magic, version, length of the header in 2 bytes (4 from version 2 on), header, data.
  const size_t version = bytes.size() > 8 ? static_cast<size_t>(bytes[6]) : 0;
  if (version < 1 || version > 3) throw refuse("not a .npy file of version 1 to 3");
  const size_t length_size = version == 1 ? 2 : 4, begin = 8 + length_size;
  uint32_t length = 0;
  if (bytes.size() < begin) throw refuse("it ends within its header");
  std::memcpy(&length, bytes.data() + 8, length_size);
  if (length > bytes.size() - begin) throw refuse("it ends within its header");
  const Header header(text_of(bytes.subspan(begin, length)), where);
  StoredTensor tensor{header.dtype(), header.shape(), {}, 0, bytes.subspan(begin + length)};
  const auto expected = bytes_in(tensor);
  auto strides = strides_of(tensor.shape, header.fortran_order());
  if (!expected || !strides || *expected != tensor.storage.size())
    throw refuse(fmt::format("its array has {} bytes, and the header asks for {}", tensor.storage.size(),
                             expected ? std::to_string(*expected) : "more than there can be"));
  tensor.strides = std::move(*strides);
  return tensor;
}

bool is_npz(const std::vector<zip::Member>& members) {
  return !members.empty() && std::all_of(members.begin(), members.end(), [](const zip::Member& member) {
    return member.name.ends_with(".npy");
  });
}

pickle::Heap parse_npz(const std::vector<zip::Member>& members, const std::string& where) {
  pickle::Heap heap;
  pickle::Dict root;
  for (const zip::Member& member : members) {
    const pickle::Ref key =
        &heap.objects.emplace_back(pickle::Object{member.name.substr(0, member.name.size() - 4)});
    StoredTensor array = parse_npy(member.data, fmt::format("{}: {}", where, shown(member.name)));
    root.entries.emplace_back(key, &heap.objects.emplace_back(pickle::Object{std::move(array)}));
  }
  heap.root = &heap.objects.emplace_back(pickle::Object{std::move(root)});
  return heap;
}

}  // namespace orrery::engine
