#include "sdk/files/sha256.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/evp.h>
#include <orrery/error.h>

#include <array>

#include "sdk/files/atomic_file.h"

namespace orrery {
namespace {

void require(int succeeded) {
  if (succeeded != 1)
    throw Error("OpenSSL cannot compute a SHA-256 here",
                "its configuration (openssl.cnf) may allow no such digest");
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  require(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
}

void Sha256::add(std::span<const std::byte> bytes) {
  require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

std::string Sha256::digest() {
  std::array<unsigned char, 32> hash;
  require(EVP_DigestFinal_ex(context_.get(), hash.data(), nullptr));
  return fmt::format("{:02x}", fmt::join(hash, ""));
}

std::string Sha256::digest_so_far() const {
  Sha256 copy;
  require(EVP_MD_CTX_copy_ex(copy.context_.get(), context_.get()));
  return copy.digest();
}

std::string sha256(std::string_view text) {
  Sha256 hash;
  hash.add(text);
  return hash.digest();
}

std::string sha256_of_file(const std::filesystem::path& path) { return sha256(read_file(path)); }

}  // namespace orrery
