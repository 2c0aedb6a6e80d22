#include "sdk/files/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <limits>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <tuple>

#include "sdk/files/safetensors_checksum.h"
#include "sdk/files/sha256.h"

namespace orrery::safetensors {
namespace {

static_assert(std::endian::native == std::endian::little, "tensor data are written as they lie in memory");

constexpr uint64_t max_header = 100'000'000;  // the limit of the reference implementation
constexpr size_t max_rank = 64;               // LibTorch's own limit
constexpr size_t prefix = sizeof(uint64_t);
constexpr const char* metadata_key = "__metadata__";

struct DtypeInfo {
  Dtype dtype;
  const char* name;
  size_t size;
};
constexpr std::array<DtypeInfo, 10> dtypes{{{Dtype::F64, "F64", 8},
                                            {Dtype::F32, "F32", 4},
                                            {Dtype::F16, "F16", 2},
                                            {Dtype::BF16, "BF16", 2},
                                            {Dtype::I64, "I64", 8},
                                            {Dtype::I32, "I32", 4},
                                            {Dtype::I16, "I16", 2},
                                            {Dtype::I8, "I8", 1},
                                            {Dtype::U8, "U8", 1},
                                            {Dtype::BOOL, "BOOL", 1}}};

const DtypeInfo& info_of(Dtype dtype) {
  const auto found =
      std::find_if(dtypes.begin(), dtypes.end(), [&](auto& info) { return info.dtype == dtype; });
  if (found == dtypes.end()) throw Error(fmt::format("safetensors: {} is no dtype", static_cast<int>(dtype)));
  return *found;
}

// Quotes text from a file for a message: shortened, and harmless to a terminal.
std::string shown(const std::string& text) {
  constexpr size_t longest = 120;
  const nlohmann::json cut = text.size() <= longest ? text : text.substr(0, longest) + "...";
  return cut.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

struct Entry {
  std::string name;
  Dtype dtype = Dtype::F32;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // of its data, counted from the end of the header
};

struct Header {
  std::vector<Entry> entries;
  Metadata metadata;
};

// Parses the header's JSON token by token; a document tree would hide repeated keys.
class HeaderReader {
 public:
  HeaderReader(Header& header, const std::string& where) : header_(header), where_(where) {}

  bool start_object(size_t) {
    if (at_ == At::top) return enter(At::header);
    if (at_ != At::header) return unexpected("an object");
    if (key_ == metadata_key) return enter(At::metadata);
    header_.entries.emplace_back().name = key_;
    fields_.clear();
    return enter(At::tensor);
  }
  bool key(std::string& key) {
    if (at_ == At::tensor) {
      field_ = key;
      return tensor_key();
    }
    const bool fresh = at_ == At::header ? names_.insert(key).second : !header_.metadata.contains(key);
    if (!fresh) fail(fmt::format("the header has the key {} twice", shown(key)));
    key_ = key;
    return true;
  }
  bool end_object() {
    if (at_ == At::tensor && fields_.size() != 3)
      fail_tensor("expected dtype, shape and data_offsets, found only some of them");
    return enter(at_ == At::header ? At::top : At::header);
  }
  bool start_array(size_t) {
    if (at_ == At::tensor && field_ == "shape") return enter(At::shape);
    if (at_ == At::tensor && field_ == "data_offsets") {
      offsets_.clear();
      return enter(At::offsets);
    }
    return unexpected("a list");
  }
  bool end_array() {
    if (at_ == At::offsets) {
      if (offsets_.size() != 2) return unexpected("a list with fewer");
      entry().begin = offsets_[0];
      entry().end = offsets_[1];
    }
    return enter(At::tensor);
  }
  bool string(std::string& text) {
    if (at_ == At::metadata) return header_.metadata.emplace(key_, text).second;
    if (at_ != At::tensor || field_ != "dtype") return unexpected("a string");
    const auto known =
        std::find_if(dtypes.begin(), dtypes.end(), [&](auto& info) { return text == info.name; });
    if (known == dtypes.end())
      fail_tensor(fmt::format("dtype {} is not one of F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL", shown(text)));
    entry().dtype = known->dtype;
    return true;
  }
  bool number_unsigned(uint64_t value) {
    if (at_ == At::offsets) {
      if (offsets_.size() == 2) return unexpected("a list with more");
      offsets_.push_back(value);
      return true;
    }
    if (at_ != At::shape) return unexpected("a number");
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      fail_tensor(fmt::format("the shape entry {} is too large", value));
    if (entry().shape.size() == max_rank) fail_tensor(fmt::format("more than {} dimensions", max_rank));
    entry().shape.push_back(static_cast<int64_t>(value));
    return true;
  }
  bool number_integer(int64_t value) {
    return value < 0 ? unexpected(fmt::format("{}", value)) : number_unsigned(static_cast<uint64_t>(value));
  }
  bool number_float(double, const std::string&) { return unexpected("a number that is no 64-bit integer"); }
  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("a boolean"); }
  template <class Binary>
  bool binary(Binary&) {
    return unexpected("binary data");
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) {
    fail(fmt::format("the header is not valid JSON near its byte {}", position));
  }

 private:
  enum class At { top, header, metadata, tensor, shape, offsets };

  Entry& entry() { return header_.entries.back(); }
  bool enter(At at) {
    at_ = at;
    return true;
  }
  bool tensor_key() {
    if (field_ != "dtype" && field_ != "shape" && field_ != "data_offsets")
      fail_tensor(fmt::format("expected the keys dtype, shape and data_offsets, found {}", shown(field_)));
    if (!fields_.insert(field_).second) fail_tensor(fmt::format("the key {} twice", shown(field_)));
    return true;
  }
  bool unexpected(const std::string& found) {
    if (at_ == At::top) fail("expected a JSON object as header, found " + found);
    if (at_ == At::metadata)
      fail(fmt::format("expected text under {} in {}, found {}", shown(key_), metadata_key, found));
    if (at_ == At::header && key_ == metadata_key)
      fail(fmt::format("expected an object under {}, found {}", metadata_key, found));
    if (at_ == At::header)
      fail(fmt::format("tensor {}: expected an object with dtype, shape and data_offsets, found {}",
                       shown(key_), found));
    const char* expected = field_ == "dtype"   ? "a string"
                           : field_ == "shape" ? "a list of integers >= 0"
                                               : "a list of two integers >= 0";
    fail_tensor(fmt::format("{}: expected {}, found {}", field_, expected, found));
  }
  [[noreturn]] void fail_tensor(const std::string& what) {
    fail(fmt::format("tensor {}: {}", shown(entry().name), what));
  }
  [[noreturn]] void fail(const std::string& what) { throw Error(fmt::format("{}: {}", where_, what)); }

  Header& header_;
  const std::string& where_;
  At at_ = At::top;
  std::string key_, field_;
  std::set<std::string> names_, fields_;  // the keys seen: in the header, in this tensor
  std::vector<uint64_t> offsets_;
};

// nullopt if the product overflows. A dimension of 0 counts as 1 in that check: LibTorch multiplies strides.
std::optional<uint64_t> byte_count(Dtype dtype, const std::vector<int64_t>& shape) {
  int64_t extent = static_cast<int64_t>(size_of(dtype));
  bool empty = false;
  for (const int64_t size : shape) {
    empty |= size == 0;
    if (size < 0 || __builtin_mul_overflow(extent, std::max<int64_t>(size, 1), &extent)) return std::nullopt;
  }
  return empty ? 0 : static_cast<uint64_t>(extent);
}

void check_entry(const Entry& entry, uint64_t data_size, const std::string& where) {
  const uint64_t begin = entry.begin, end = entry.end;
  const std::string tensor = fmt::format("{}: tensor {}", where, shown(entry.name));
  if (begin > end) throw Error(fmt::format("{}: data_offsets [{}, {}] run backwards", tensor, begin, end));
  if (end > data_size)
    throw Error(fmt::format("{}: its data end at byte {}, but the file holds {} bytes of data", tensor, end,
                            data_size),
                "the file may have been cut short: copy or download it again");
  const auto bytes = byte_count(entry.dtype, entry.shape);
  if (!bytes) throw Error(fmt::format("{}: shape {} overflows", tensor, entry.shape));
  if (*bytes != end - begin)
    throw Error(fmt::format("{}: shape {} of {} takes {} bytes, but data_offsets [{}, {}] span {}", tensor,
                            entry.shape, name_of(entry.dtype), *bytes, begin, end, end - begin));
}

void check_coverage(std::vector<Entry>& entries, uint64_t data_size, const std::string& where) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  uint64_t covered = 0;
  for (const Entry& entry : entries) {
    const uint64_t begin = entry.begin;
    if (begin != covered)
      throw Error(
          fmt::format("{}: tensor {}: expected its data to begin at byte {}, where the one before ends, "
                      "found {} ({})",
                      where, shown(entry.name), covered, begin, begin < covered ? "overlap" : "gap"));
    covered = entry.end;
  }
  if (covered != data_size)
    throw Error(
        fmt::format("{}: expected the data to end at byte {}, after the last tensor, found {} bytes of data",
                    where, covered, data_size));
}

Header parse_header(std::span<const std::byte> text, uint64_t data_size, const std::string& where) {
  const auto* begin = reinterpret_cast<const char*>(text.data());
  if (text.empty() || *begin != '{') throw Error(where + ": the header does not begin with {");
  Header header;
  HeaderReader reader(header, where);
  if (!nlohmann::json::sax_parse(begin, begin + text.size(), &reader))
    throw Error(where + ": the header is not valid JSON");
  for (const Entry& entry : header.entries) check_entry(entry, data_size, where);
  check_coverage(header.entries, data_size, where);
  return header;
}

// `start` is at least the first eight bytes of a file of `file_size` bytes.
uint64_t header_length(std::span<const std::byte> start, uint64_t file_size, const std::string& where) {
  if (file_size < prefix || start.size() < prefix)
    throw Error(
        fmt::format("{}: {} bytes are no safetensors file, which begins with 8 bytes of header length", where,
                    file_size));
  uint64_t length = 0;
  std::memcpy(&length, start.data(), prefix);
  if (length > max_header)
    throw Error(
        fmt::format("{}: a header of {} bytes, where {} are the most allowed; not a safetensors file?", where,
                    length, max_header));
  if (length > file_size - prefix)
    throw Error(fmt::format("{}: a header of {} bytes does not fit a file of {}", where, length, file_size),
                "the file may have been cut short: copy or download it again");
  return length;
}

// Takes the checksum out of the metadata. Returns whether there is one.
bool check_checksum(Metadata& metadata, std::span<const std::byte> header, std::span<const std::byte> data,
                    const std::string& where) {
  const auto found = metadata.find(checksum_key);
  if (found == metadata.end()) return false;
  const std::string digest = found->second;
  const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
  const std::string member = checksum_member(digest);
  const size_t at = text.find(member);
  const bool right = digest.size() == digest_size && at != text.npos &&
                     checksum_of(header, at + member.size() - 1 - digest_size, data) == digest;
  if (!right)
    throw Error(where + ": damaged: its content does not match its checksum",
                fmt::format("copy it again from where it is whole; if another program changed it on purpose, "
                            "leave {} out of its metadata",
                            checksum_key));
  metadata.erase(found);
  return true;
}

Contents contents_of(Header header, std::span<const std::byte> header_bytes, std::span<const std::byte> data,
                     const std::string& where) {
  Contents contents;
  contents.has_checksum = check_checksum(header.metadata, header_bytes, data, where);
  contents.metadata = std::move(header.metadata);
  for (Entry& entry : header.entries) {
    const uint64_t begin = entry.begin, end = entry.end;
    contents.tensors.push_back(
        {std::move(entry.name), entry.dtype, std::move(entry.shape), data.subspan(begin, end - begin)});
  }
  return contents;
}

void read_exactly(std::ifstream& stream, std::vector<std::byte>& into, const std::string& where) {
  stream.read(reinterpret_cast<char*>(into.data()), static_cast<std::streamsize>(into.size()));
  if (static_cast<size_t>(stream.gcount()) != into.size())
    throw Error(fmt::format("{}: reading stopped after {} of {} bytes", where, stream.gcount(), into.size()));
}

std::string quoted(const std::string& text, const std::string& where) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(fmt::format("{}: the text {} is not UTF-8", where, shown(text)));
  }
}

void check_writable(const TensorView& tensor, const std::string& where) {
  const auto bytes = byte_count(tensor.dtype, tensor.shape);
  if (!bytes || *bytes != tensor.data.size() || tensor.shape.size() > max_rank)
    throw Error(fmt::format("{}: tensor {}: shape {} of {} does not fit {} bytes of data", where,
                            shown(tensor.name), tensor.shape, name_of(tensor.dtype), tensor.data.size()));
  if (tensor.name == metadata_key)
    throw Error(fmt::format("{}: a tensor may not be called {}", where, metadata_key));
}

std::string header_text(const std::vector<TensorView>& tensors, const Metadata& metadata,
                        const std::string& where) {
  std::vector<std::string> members;
  for (const auto& [key, value] : metadata)
    members.push_back(quoted(key, where) + ":" + quoted(value, where));
  if (!metadata.empty()) members = {fmt::format("\"{}\":{{{}}}", metadata_key, fmt::join(members, ","))};
  uint64_t offset = 0;
  for (const TensorView& tensor : tensors) {
    const uint64_t end = offset + tensor.data.size();
    members.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                  quoted(tensor.name, where), name_of(tensor.dtype),
                                  fmt::join(tensor.shape, ","), offset, end));
    offset = end;
  }
  std::string text = fmt::format("{{{}}}", fmt::join(members, ","));
  text.resize((text.size() + prefix - 1) / prefix * prefix, ' ');
  if (text.size() > max_header) throw Error(where + ": more names and metadata than a header may hold");
  return text;
}

}  // namespace

const char* name_of(Dtype dtype) { return info_of(dtype).name; }
size_t size_of(Dtype dtype) { return info_of(dtype).size; }

Contents parse(std::span<const std::byte> bytes, const std::string& where) {
  const uint64_t length = header_length(bytes, bytes.size(), where);
  const auto header = bytes.subspan(prefix, length), data = bytes.subspan(prefix + length);
  return contents_of(parse_header(header, data.size(), where), header, data, where);
}

namespace {

struct Opened {
  std::ifstream stream;  // at the data
  uint64_t data_size;
  Header header;
  std::vector<std::byte> header_bytes;
};

Opened open_file(const std::filesystem::path& path) {
  const std::string where = path.string();
  std::error_code failure;
  if (!std::filesystem::exists(path, failure)) throw Error(where + ": no such file");
  if (!std::filesystem::is_regular_file(path, failure))
    throw Error(where + ": expected a file, found a folder or device");
  const uint64_t size = std::filesystem::file_size(path, failure);
  std::ifstream stream(path, std::ios::binary);
  if (failure || !stream) throw Error(where + ": cannot be read", "check its permissions");
  std::vector<std::byte> bytes(std::min<uint64_t>(size, prefix));
  read_exactly(stream, bytes, where);
  bytes.resize(header_length(bytes, size, where));
  read_exactly(stream, bytes, where);
  const uint64_t data_size = size - prefix - bytes.size();
  Header header = parse_header(bytes, data_size, where);
  return {std::move(stream), data_size, std::move(header), std::move(bytes)};
}

}  // namespace

File::File(const std::filesystem::path& path) {
  const std::string where = path.string();
  Opened opened = open_file(path);
  try {
    data_.resize(opened.data_size);
  } catch (const std::exception&) {  // bad_alloc or length_error
    throw Error(fmt::format("{}: its {} bytes of data do not fit into memory", where, opened.data_size));
  }
  read_exactly(opened.stream, data_, where);
  contents_ = contents_of(std::move(opened.header), opened.header_bytes, data_, where);
}

void check_header(const std::filesystem::path& path) { open_file(path); }

Metadata read_metadata(const std::filesystem::path& path) {
  return std::move(open_file(path).header.metadata);
}

std::vector<std::byte> serialise(std::vector<TensorView> tensors, const Metadata& metadata,
                                 const std::string& where) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorView& a, const TensorView& b) {
    const size_t wide_a = size_of(a.dtype), wide_b = size_of(b.dtype);
    return wide_a != wide_b ? wide_a > wide_b : a.name < b.name;
  });
  std::set<std::string> names;
  for (const TensorView& tensor : tensors) {
    check_writable(tensor, where);
    if (!names.insert(tensor.name).second)
      throw Error(fmt::format("{}: two tensors are called {}", where, shown(tensor.name)));
  }
  const std::string header = header_text(tensors, metadata, where);
  const uint64_t length = header.size();
  std::vector<std::byte> bytes;
  const auto append = [&](const void* from, size_t size) {
    const auto* first = static_cast<const std::byte*>(from);
    bytes.insert(bytes.end(), first, first + size);
  };
  append(&length, prefix);
  append(header.data(), header.size());
  for (const TensorView& tensor : tensors) append(tensor.data.data(), tensor.data.size());
  return bytes;
}

std::vector<std::byte> serialise_with_checksum(std::vector<TensorView> tensors, Metadata metadata,
                                               const std::string& where) {
  metadata[checksum_key] = std::string(digest_size, '0');
  std::vector<std::byte> bytes = serialise(std::move(tensors), metadata, where);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::string member = checksum_member(metadata[checksum_key]);
  const size_t place = text.find(member) + member.size() - 1 - digest_size;
  const std::string digest = sha256(text);
  std::memcpy(bytes.data() + place, digest.data(), digest.size());
  return bytes;
}

}  // namespace orrery::safetensors
