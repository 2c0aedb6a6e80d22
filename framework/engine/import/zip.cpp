#include "engine/import/zip.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>

#include "engine/import/shown.h"

// The format is PKWARE's APPNOTE.TXT 6.3.10; section numbers below refer to it.
namespace orrery::engine::zip {
namespace {

static_assert(std::endian::native == std::endian::little, "records are read as they lie in the file");

using Bytes = std::span<const std::byte>;

constexpr uint32_t local_signature = 0x04034b50, central_signature = 0x02014b50;
constexpr uint32_t end_signature = 0x06054b50, end64_signature = 0x06064b50, locator_signature = 0x07064b50;
constexpr size_t local_size = 30, central_size = 46, end_size = 22, end64_size = 56, locator_size = 20;
constexpr uint16_t zip64_field = 1, padding_field = 0x4246;  // the latter is "FB", PyTorch's own
constexpr uint32_t in_zip64 = 0xffffffff;
constexpr size_t alignment = 64;
constexpr const char* damaged = "the file may have been cut short or damaged: copy or download it again";

template <class Integer>
Integer get(Bytes bytes, size_t at) {
  Integer value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

struct Entry {
  std::string name;
  uint16_t flags = 0, method = 0;
  uint32_t crc = 0;
  uint64_t packed = 0, size = 0, header = 0;
  uint64_t begin = 0;  // of its data
};

struct Directory {
  uint64_t begin = 0, size = 0, count = 0;
};

std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0xedb88320u : 0);
    table[i] = value;
  }
  return table;
}

uint32_t crc32(Bytes bytes) {
  static const std::array<uint32_t, 256> table = crc_table();
  uint32_t value = ~0u;
  for (const std::byte byte : bytes)
    value = (value >> 8) ^ table[(value ^ static_cast<uint32_t>(byte)) & 0xff];
  return ~value;
}

class Reader {
 public:
  Reader(Bytes bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (Entry& entry : central_directory()) names.push_back(std::move(entry.name));
    return names;
  }

  std::vector<Member> members() {
    std::vector<Entry> entries = central_directory();
    for (Entry& entry : entries) locate(entry);
    check_apart(entries);
    std::vector<Member> members;
    for (Entry& entry : entries) {
      const Bytes data = bytes_.subspan(entry.begin, entry.size);
      // PyTorch writes zeros if it was told not to compute checksums.
      if (entry.crc != 0 && crc32(data) != entry.crc)
        fail(fmt::format("{}: its checksum is wrong", shown(entry.name)), damaged);
      if (!entry.name.ends_with('/')) members.push_back({std::move(entry.name), data});
    }
    return members;
  }

 private:
  [[noreturn]] void fail(const std::string& what, const std::string& hint = damaged) const {
    throw Error(fmt::format("{}: {}", where_, what), hint);
  }
  bool holds(uint64_t at, uint64_t size) const { return at <= bytes_.size() && size <= bytes_.size() - at; }

  // The end record, which leads to everything else, is last in the file except for a comment (4.3.16).
  size_t end_record() const {
    if (bytes_.size() < end_size) fail("too short for a zip archive");
    const size_t last = bytes_.size() - end_size, longest = 0xffff;
    for (size_t at = last;; --at) {
      if (get<uint32_t>(bytes_, at) == end_signature && get<uint16_t>(bytes_, at + 20) == last - at)
        return at;
      if (at == 0 || last - at == longest) fail("a zip archive without its end");
    }
  }

  Directory directory() const {
    const size_t end = end_record();
    if (end >= locator_size && get<uint32_t>(bytes_, end - locator_size) == locator_signature)
      return directory64(get<uint64_t>(bytes_, end - locator_size + 8));
    if (get<uint16_t>(bytes_, end + 4) != 0 || get<uint16_t>(bytes_, end + 6) != 0) fail_volumes();
    return {get<uint32_t>(bytes_, end + 16), get<uint32_t>(bytes_, end + 12),
            get<uint16_t>(bytes_, end + 10)};
  }

  Directory directory64(uint64_t at) const {
    if (!holds(at, end64_size) || get<uint32_t>(bytes_, at) != end64_signature)
      fail("the end record of its large archive (zip64) is not where it should be");
    if (get<uint32_t>(bytes_, at + 16) != 0 || get<uint32_t>(bytes_, at + 20) != 0) fail_volumes();
    return {get<uint64_t>(bytes_, at + 48), get<uint64_t>(bytes_, at + 40), get<uint64_t>(bytes_, at + 32)};
  }

  [[noreturn]] void fail_volumes() const {
    fail("a zip archive in several volumes", "put it together into one file first");
  }

  std::vector<Entry> central_directory() const {
    const Directory found = directory();
    if (!holds(found.begin, found.size)) fail("the zip archive's list of members is not within the file");
    std::vector<Entry> entries;
    std::set<std::string> names;
    uint64_t at = found.begin;
    const uint64_t end = found.begin + found.size;
    for (uint64_t i = 0; i < found.count; ++i) {
      if (end - at < central_size || get<uint32_t>(bytes_, at) != central_signature)
        fail(fmt::format("expected {} members in the zip archive, found {}", found.count, i));
      Entry entry = central_entry(at, end);
      if (!names.insert(entry.name).second) fail(fmt::format("two members are called {}", shown(entry.name)));
      entries.push_back(std::move(entry));
    }
    return entries;
  }

  // 4.3.12; moves `at` to the next.
  Entry central_entry(uint64_t& at, uint64_t end) const {
    const Bytes record = bytes_.subspan(at);
    const size_t name = get<uint16_t>(record, 28), extra = get<uint16_t>(record, 30);
    const size_t size = central_size + name + extra + get<uint16_t>(record, 32);
    if (end - at < size) fail("a member's record runs over the end of the list of members");
    Entry entry{.name = {reinterpret_cast<const char*>(record.data()) + central_size, name},
                .flags = get<uint16_t>(record, 8),
                .method = get<uint16_t>(record, 10),
                .crc = get<uint32_t>(record, 16),
                .packed = get<uint32_t>(record, 20),
                .size = get<uint32_t>(record, 24),
                .header = get<uint32_t>(record, 42)};
    read_zip64(entry, record.subspan(central_size + name, extra));
    at += size;
    return entry;
  }

  // 4.5.3: only the fields that do not fit into 32 bits, in this order.
  void read_zip64(Entry& entry, Bytes extra) const {
    while (extra.size() >= 4) {
      const size_t id = get<uint16_t>(extra, 0), size = get<uint16_t>(extra, 2);
      if (extra.size() - 4 < size) return;
      Bytes field = extra.subspan(4, size);
      extra = extra.subspan(4 + size);
      if (id != zip64_field) continue;
      for (uint64_t* value : {&entry.size, &entry.packed, &entry.header}) {
        if (*value != in_zip64) continue;
        if (field.size() < sizeof *value) fail(fmt::format("{}: a size is missing", shown(entry.name)));
        *value = get<uint64_t>(field, 0);
        field = field.subspan(sizeof *value);
      }
    }
  }

  // Finds the data, which follow the local header (4.3.7), and refuses anything but plain bytes.
  void locate(Entry& entry) const {
    const std::string name = shown(entry.name);
    if (entry.flags & 1) fail(name + " is encrypted", "decrypt the archive first");
    if (entry.method != 0 || entry.packed != entry.size)
      fail(name + " is compressed, which PyTorch never does",
           "pack it again without compression: unzip it, then zip -0 -r NEW.pth FOLDER");
    if (!holds(entry.header, local_size) || get<uint32_t>(bytes_, entry.header) != local_signature)
      fail(name + " is not where the zip archive's list of members says");
    entry.begin = entry.header + local_size + get<uint16_t>(bytes_, entry.header + 26) +
                  get<uint16_t>(bytes_, entry.header + 28);
    if (!holds(entry.begin, entry.size)) fail(name + " runs over the end of the file");
  }

  // Overlapping members are how a small archive pretends to be a large one.
  void check_apart(const std::vector<Entry>& entries) const {
    std::vector<const Entry*> order;
    for (const Entry& entry : entries) order.push_back(&entry);
    std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->header < b->header; });
    for (size_t i = 1; i < order.size(); ++i)
      if (order[i - 1]->begin + order[i - 1]->size > order[i]->header)
        fail(fmt::format("the members {} and {} overlap", shown(order[i - 1]->name), shown(order[i]->name)));
  }

  Bytes bytes_;
  const std::string& where_;
};

class Writer {
 public:
  void member(const Member& member) {
    const uint64_t header = bytes_.size();
    const uint32_t crc = crc32(member.data);
    const size_t unpadded = header + local_size + member.name.size() + 4;
    const size_t padding = (alignment - unpadded % alignment) % alignment;
    put<uint32_t>(bytes_, local_signature);
    common(bytes_, member, crc, static_cast<uint16_t>(4 + padding));
    text(bytes_, member.name);
    put<uint16_t>(bytes_, padding_field);
    put<uint16_t>(bytes_, static_cast<uint16_t>(padding));
    bytes_.resize(bytes_.size() + padding);
    bytes_.insert(bytes_.end(), member.data.begin(), member.data.end());
    list(member, crc, header);
  }

  std::vector<std::byte> end() {
    const uint64_t begin = bytes_.size();
    bytes_.insert(bytes_.end(), list_.begin(), list_.end());
    put<uint32_t>(bytes_, end_signature);
    put<uint32_t>(bytes_, 0);  // volumes
    put<uint16_t>(bytes_, static_cast<uint16_t>(count_));
    put<uint16_t>(bytes_, static_cast<uint16_t>(count_));
    put<uint32_t>(bytes_, static_cast<uint32_t>(list_.size()));
    put<uint32_t>(bytes_, static_cast<uint32_t>(begin));
    put<uint16_t>(bytes_, 0);  // comment
    return std::move(bytes_);
  }

 private:
  template <class Integer>
  static void put(std::vector<std::byte>& into, Integer value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    into.insert(into.end(), bytes, bytes + sizeof value);
  }
  static void text(std::vector<std::byte>& into, const std::string& text) {
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    into.insert(into.end(), bytes, bytes + text.size());
  }
  // The fields that local and central records share, from the version needed to the length of the extra
  // field.
  static void common(std::vector<std::byte>& into, const Member& member, uint32_t crc, uint16_t extra) {
    put<uint16_t>(into, 20);        // version needed
    put<uint16_t>(into, 1 << 11);   // names are UTF-8
    put<uint16_t>(into, 0);         // stored
    put<uint32_t>(into, 33 << 16);  // 1980-01-01: same tensors, same bytes
    put<uint32_t>(into, crc);
    put<uint32_t>(into, static_cast<uint32_t>(member.data.size()));
    put<uint32_t>(into, static_cast<uint32_t>(member.data.size()));
    put<uint16_t>(into, static_cast<uint16_t>(member.name.size()));
    put<uint16_t>(into, extra);
  }
  void list(const Member& member, uint32_t crc, uint64_t header) {
    put<uint32_t>(list_, central_signature);
    put<uint16_t>(list_, 20);  // version made by
    common(list_, member, crc, 0);
    put<uint16_t>(list_, 0);  // comment
    put<uint16_t>(list_, 0);  // volume
    put<uint16_t>(list_, 0);  // attributes
    put<uint32_t>(list_, 0);
    put<uint32_t>(list_, static_cast<uint32_t>(header));
    text(list_, member.name);
    ++count_;
  }

  std::vector<std::byte> bytes_, list_;
  size_t count_ = 0;
};

}  // namespace

bool is_archive(Bytes bytes) { return bytes.size() >= 4 && get<uint32_t>(bytes, 0) == local_signature; }

std::vector<std::string> names(Bytes bytes, const std::string& where) { return Reader(bytes, where).names(); }

std::vector<Member> read(Bytes bytes, const std::string& where) { return Reader(bytes, where).members(); }

std::vector<std::byte> write(const std::vector<Member>& members, const std::string& where) {
  uint64_t total = end_size;
  for (const Member& member : members)
    total += member.data.size() + 2 * member.name.size() + local_size + central_size + 4 + alignment;
  if (total >= in_zip64 || members.size() > 0xfffe)
    throw Error(where + ": 4 GiB or more do not fit into the zip archives written here",
                "export as safetensors instead");
  Writer writer;
  for (const Member& member : members) writer.member(member);
  return writer.end();
}

}  // namespace orrery::engine::zip
