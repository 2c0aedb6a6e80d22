// Reads and writes safetensors files: named tensors in one flat, fully checked file that Python reads too.
// Free of LibTorch, so that it compiles under clang and can be fuzzed by itself; run/tensors.h is the tensor
// side.
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

/// As the header spells it: "F32".
ORRERY_API const char* name_of(Dtype dtype);
/// Bytes per element.
ORRERY_API size_t size_of(Dtype dtype);

using Metadata = std::map<std::string, std::string>;

/// One tensor; `data` is its elements, row-major, little-endian, and belongs to somebody else.
struct TensorView {
  std::string name;
  Dtype dtype = Dtype::F32;
  std::vector<int64_t> shape;  ///< empty for a scalar
  std::span<const std::byte> data;
};

struct Contents {
  std::vector<TensorView> tensors;  ///< in the order of their data
  Metadata metadata;
};

/// Reads a whole file that lies in memory; the views point into `bytes`, at any alignment. Throws
/// orrery::Error, opening with `where` and naming the tensor, on whatever the format
/// (github.com/huggingface/safetensors) forbids: data that overlap, leave gaps or do not fit their shape,
/// names or keys twice, anything malformed.
ORRERY_API Contents parse(std::span<const std::byte> bytes, const std::string& where);

/// A file read into memory. Its views live as long as it does.
class ORRERY_API File {
 public:
  /// Throws orrery::Error as `parse` does, or if there is no such file. The data are read only once the
  /// header has been found to describe exactly a file of this size.
  explicit File(const std::filesystem::path& path);
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::vector<TensorView>& tensors() const { return contents_.tensors; }
  const Metadata& metadata() const { return contents_.metadata; }

 private:
  std::vector<std::byte> data_;
  Contents contents_;
};

/// Throws as File does where the header does not describe exactly a file of this size; the data are not read.
ORRERY_API void check_header(const std::filesystem::path& path);

/// The bytes of a file with these tensors: widest dtype first, then by name, so that every tensor is aligned
/// to its dtype and the same tensors give the same bytes. Throws orrery::Error, opening with `where`, on a
/// repeated or reserved name, on data that do not fit their shape, and on text that is not UTF-8.
ORRERY_API std::vector<std::byte> serialise(std::vector<TensorView> tensors, const Metadata& metadata,
                                            const std::string& where);

}  // namespace orrery::safetensors
