// SHA-256: `sha256sum` of a checkpoint tells which results belong to it. Does not depend on LibTorch.
#pragma once

#include <orrery/export.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace orrery {

class ORRERY_API Sha256 {
 public:
  Sha256();

  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  /// The hash of everything added, 64 hexadecimal digits; call at most once.
  std::string digest();
  /// The same without ending it: more may be added.
  std::string digest_so_far() const;

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

ORRERY_API std::string sha256(std::string_view text);
/// The hash of a whole file. Throws orrery::Error if it cannot be read.
ORRERY_API std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace orrery
