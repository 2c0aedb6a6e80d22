#include "sdk/files/tensors.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <cstring>
#include <iterator>

#include "sdk/files/atomic_file.h"
#include "sdk/files/safetensors.h"

namespace orrery {
namespace {

using safetensors::Dtype;

constexpr std::pair<Dtype, torch::ScalarType> pairs[] = {
    {Dtype::F64, torch::kDouble},    {Dtype::F32, torch::kFloat}, {Dtype::F16, torch::kHalf},
    {Dtype::BF16, torch::kBFloat16}, {Dtype::I64, torch::kLong},  {Dtype::I32, torch::kInt},
    {Dtype::I16, torch::kShort},     {Dtype::I8, torch::kChar},   {Dtype::U8, torch::kByte},
    {Dtype::BOOL, torch::kBool}};

Dtype dtype_of(const torch::Tensor& tensor, const std::string& where) {
  for (const auto& [dtype, scalar_type] : pairs)
    if (tensor.scalar_type() == scalar_type) return dtype;
  throw Error(fmt::format("{}: dtype {} cannot be stored in a safetensors file", where,
                          torch::toString(tensor.scalar_type())));
}

torch::ScalarType scalar_type_of(Dtype dtype) {
  for (const auto& [stored, scalar_type] : pairs)
    if (dtype == stored) return scalar_type;
  throw Error(fmt::format("no LibTorch dtype for {}", safetensors::name_of(dtype)));
}

torch::Tensor on_cpu(const torch::Tensor& tensor, const std::string& where) {
  if (!tensor.defined()) throw Error(where + " is undefined");
  if (tensor.layout() != torch::kStrided) throw Error(where + " is not dense", "convert it with to_dense()");
  return tensor.detach().to(torch::kCPU).resolve_neg().contiguous();
}

torch::Tensor tensor_of(const safetensors::TensorView& view) {
  // A bool other than 0 and 1 is undefined behaviour in C++, and files may hold any byte.
  const bool boolean = view.dtype == Dtype::BOOL;
  torch::Tensor tensor = torch::empty(view.shape, boolean ? torch::kByte : scalar_type_of(view.dtype));
  if (!view.data.empty()) std::memcpy(tensor.data_ptr(), view.data.data(), view.data.size());
  return boolean ? tensor.ne(0) : tensor;
}

}  // namespace

std::vector<std::byte> tensor_bytes(const NamedTensors& tensors, const std::string& file,
                                    const std::map<std::string, std::string>& metadata) {
  std::vector<torch::Tensor> kept;  // the views point into these
  std::vector<safetensors::TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    const std::string where = fmt::format("{}: tensor \"{}\"", file, name);
    kept.push_back(on_cpu(tensor, where));
    const torch::Tensor& own = kept.back();
    views.push_back({name,
                     dtype_of(own, where),
                     own.sizes().vec(),
                     {static_cast<const std::byte*>(own.data_ptr()), own.nbytes()}});
  }
  return safetensors::serialise_with_checksum(std::move(views), metadata, file);
}

void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                   const std::map<std::string, std::string>& metadata) {
  write_file(path, tensor_bytes(tensors, path.string(), metadata));
}

TensorFile read_tensors(const std::filesystem::path& path) {
  const safetensors::File file(path);
  TensorFile result;
  result.metadata = file.metadata();
  result.has_checksum = file.has_checksum();
  for (const safetensors::TensorView& view : file.tensors())
    result.tensors.emplace_back(view.name, tensor_of(view));
  return result;
}

}  // namespace orrery
