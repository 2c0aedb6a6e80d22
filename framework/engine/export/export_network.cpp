#include "engine/export/export_network.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <vector>

#include "engine/experiment/open_run.h"
#include "engine/export/other_names.h"
#include "engine/import/weights_file.h"
#include "engine/reporter/numbers.h"
#include "sdk/files/safetensors.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;
using safetensors::TensorView;

// Concatenates `left` and `right` along the last dimension.
std::vector<std::byte> join_rows(const TensorView& left, const TensorView& right) {
  const size_t width = left.shape.back() * size_of(left.dtype),
               more = right.shape.back() * size_of(right.dtype);
  std::vector<std::byte> joined;
  for (size_t row = 0; row * width < left.data.size(); ++row) {
    const auto a = left.data.subspan(row * width, width), b = right.data.subspan(row * more, more);
    joined.insert(joined.end(), a.begin(), a.end());
    joined.insert(joined.end(), b.begin(), b.end());
  }
  return joined;
}

// Puts back the output columns that an import dropped. `kept` owns the new data.
void add_outputs(std::vector<TensorView>& tensors, const fs::path& file,
                 std::vector<std::vector<std::byte>>& kept) {
  const safetensors::File dropped(file);
  for (const TensorView& more : dropped.tensors())
    for (TensorView& tensor : tensors) {
      if (tensor.name != more.name) continue;
      const bool fits = !more.shape.empty() && tensor.shape.size() == more.shape.size() &&
                        tensor.dtype == more.dtype && tensor.shape.back() > 0 &&
                        std::equal(tensor.shape.begin(), tensor.shape.end() - 1, more.shape.begin());
      if (!fits) throw Error(fmt::format("{}: {} does not fit the checkpoint's", file.string(), more.name));
      kept.push_back(join_rows(tensor, more));
      tensor.shape.back() += more.shape.back();
      tensor.data = kept.back();
    }
}

}  // namespace

const char* to_string(NetworkFormat format) {
  return format == NetworkFormat::pytorch ? "pytorch" : "safetensors";
}

namespace {

void refuse_existing(const fs::path& file) {
  std::error_code ignored;
  if (fs::exists(file, ignored))
    throw UsageError(file.string() + ": exists already, and an export never overwrites",
                     "choose another --out, or delete it first");
}

// The views of tensors that LibTorch holds, which must outlive them.
std::vector<TensorView> views_of(const NamedTensors& tensors) {
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : tensors)
    views.push_back(
        {name,
         tensor.scalar_type() == torch::kBool ? safetensors::Dtype::BOOL : safetensors::Dtype::F32,
         tensor.sizes().vec(),
         {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()}});
  return views;
}

NamedTensors tensors_of(const std::vector<TensorView>& views) {
  NamedTensors tensors;
  for (const TensorView& view : views) {
    const torch::Tensor tensor = torch::empty(view.shape, torch::kFloat32);
    if (view.data.size() != tensor.nbytes()) throw Error(fmt::format("{}: not float32", view.name));
    std::copy(view.data.begin(), view.data.end(), static_cast<std::byte*>(tensor.data_ptr()));
    tensors.emplace_back(view.name, tensor);
  }
  return tensors;
}

struct Renamed {
  NamedTensors weights;
  std::string config = {};                    // of TransformerLens
  std::vector<std::string> differences = {};  // of nanoGPT's own class
};

Renamed rename_weights(const Registry& registry, const RunDirectory& run, const NetworkExport& wanted,
                       const std::vector<TensorView>& views) {
  const NetworkAtStep network(registry, run.root().string(), std::to_string(wanted.checkpoint.step));
  const PluginChoice& model = network.experiment().settings().model;
  const int64_t n_ctx = network.experiment().spec().n_ctx;
  const NamedTensors ours = tensors_of(views);
  const std::string where = wanted.checkpoint.path.string();
  if (wanted.names == WeightNames::nanogpt)
    return {nanogpt_weights(ours, model, where), "", other_than_nanogpt(model)};
  return {transformer_lens_weights(ours, model, n_ctx, where),
          transformer_lens_config(ours, model, n_ctx).dump(2) + "\n"};
}

}  // namespace

void export_network(const Registry& registry, const RunDirectory& run, const NetworkExport& wanted,
                    Reporter& reporter) {
  const fs::path config = fs::path(wanted.out).replace_extension(".json");
  const bool with_config = wanted.names == WeightNames::transformer_lens;
  refuse_existing(wanted.out);
  if (with_config) refuse_existing(config);
  const CheckpointFile& checkpoint = wanted.checkpoint;
  const safetensors::File file(checkpoint.path);
  std::vector<TensorView> tensors = file.tensors();
  std::vector<std::vector<std::byte>> kept;
  std::error_code ignored;
  const fs::path dropped = dropped_outputs_path(run, checkpoint.step);
  const bool more = fs::exists(dropped, ignored);
  if (wanted.all_outputs && more) add_outputs(tensors, dropped, kept);
  Renamed renamed;
  if (wanted.names != WeightNames::orrery) {
    renamed = rename_weights(registry, run, wanted, tensors);
    tensors = views_of(renamed.weights);
  }

  const std::string where = checkpoint.path.string(), step = std::to_string(checkpoint.step);
  if (wanted.format == NetworkFormat::pytorch)
    write_file(wanted.out, serialise_torch(tensors, where));
  else
    write_file(wanted.out, safetensors::serialise(tensors, {{"format", "pt"}, {"step", step}}, where));
  reporter.note(fmt::format("{}: {} tensors of step {}, {}", wanted.out.string(), tensors.size(),
                            thousands(checkpoint.step), to_string(wanted.format)));
  if (!renamed.differences.empty())
    reporter.warning("nanoGPT's own class computes something else with these weights: here " +
                         fmt::format("{}", fmt::join(renamed.differences, ", ")),
                     "load them into a class that does the same");
  if (with_config) write_file(config, renamed.config);
  if (with_config)
    reporter.note(fmt::format("{}: the arguments of HookedTransformerConfig", config.string()));
  if (more && !wanted.all_outputs)
    reporter.note("without the outputs that the import dropped; add them with --all-outputs");
}

}  // namespace orrery::engine
