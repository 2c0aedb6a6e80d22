// Reads and writes safetensors files: named tensors in one flat file, fully checked, that Python reads too.
// Does not depend on LibTorch, so that clang can compile and fuzz it by itself; sdk/files/tensors.h converts
// to tensors.
#pragma once

#include <orrery/export.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace orrery::safetensors {

enum class Dtype { F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL };

/// The name in the header: "F32".
ORRERY_API const char* name_of(Dtype dtype);
/// Bytes per element.
ORRERY_API size_t size_of(Dtype dtype);

using Metadata = std::map<std::string, std::string>;

/// One tensor. Does not own `data`: its elements, row-major, little-endian.
struct TensorView {
  std::string name;
  Dtype dtype = Dtype::F32;
  std::vector<int64_t> shape;  ///< empty for a scalar
  std::span<const std::byte> data;
};

/// The key of the checksum among the metadata: the SHA-256, in hexadecimal, of the file in which these 64
/// digits are zeros.
constexpr const char* checksum_key = "orrery.sha256";

struct Contents {
  std::vector<TensorView> tensors;  ///< in the order of their data
  Metadata metadata;                ///< without the checksum
  bool has_checksum = false;        ///< which then is right
};

/// Parses a whole file in memory; views point into `bytes`, at any alignment. Throws orrery::Error, beginning
/// with `where` and naming the tensor, for anything that the format (github.com/huggingface/safetensors)
/// forbids: data that overlap, leave gaps or do not fit their shape, repeated names or keys, malformed JSON;
/// and for a checksum that does not fit.
ORRERY_API Contents parse(std::span<const std::byte> bytes, const std::string& where);

/// A file read into memory. Its views are valid for its lifetime.
class ORRERY_API File {
 public:
  /// Throws orrery::Error as `parse` does, or if there is no such file. Reads the data only after checking
  /// that the header describes a file of exactly this size.
  explicit File(const std::filesystem::path& path);
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::vector<TensorView>& tensors() const { return contents_.tensors; }
  const Metadata& metadata() const { return contents_.metadata; }
  bool has_checksum() const { return contents_.has_checksum; }

 private:
  std::vector<std::byte> data_;
  Contents contents_;
};

/// Checks that the header describes a file of exactly this size, without reading the data. Throws as File
/// does.
ORRERY_API void check_header(const std::filesystem::path& path);
/// The metadata, checksum included, after the same check.
ORRERY_API Metadata read_metadata(const std::filesystem::path& path);

/// Serialises tensors, widest dtype first, then by name: every tensor is aligned to its dtype, and the same
/// tensors give the same bytes. Throws orrery::Error, beginning with `where`, for a repeated or reserved
/// name, data that do not fit their shape, and text that is not UTF-8.
ORRERY_API std::vector<std::byte> serialise(std::vector<TensorView> tensors, const Metadata& metadata,
                                            const std::string& where);
/// The same with a checksum, which `parse` and File check.
ORRERY_API std::vector<std::byte> serialise_with_checksum(std::vector<TensorView> tensors, Metadata metadata,
                                                          const std::string& where);

}  // namespace orrery::safetensors
