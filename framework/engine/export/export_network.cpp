#include "engine/export/export_network.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <vector>

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

void export_network(const RunDirectory& run, const NetworkExport& wanted, Reporter& reporter) {
  std::error_code ignored;
  if (fs::exists(wanted.out, ignored))
    throw UsageError(wanted.out.string() + ": exists already, and an export never overwrites",
                     "choose another --out, or delete it first");
  const CheckpointFile& checkpoint = wanted.checkpoint;
  const safetensors::File file(checkpoint.path);
  std::vector<TensorView> tensors = file.tensors();
  std::vector<std::vector<std::byte>> kept;
  const fs::path dropped = dropped_outputs_path(run, checkpoint.step);
  const bool more = fs::exists(dropped, ignored);
  if (wanted.all_outputs && more) add_outputs(tensors, dropped, kept);

  const std::string where = checkpoint.path.string(), step = std::to_string(checkpoint.step);
  if (wanted.format == NetworkFormat::pytorch)
    write_file(wanted.out, serialise_torch(tensors, where));
  else
    write_file(wanted.out, safetensors::serialise(tensors, {{"format", "pt"}, {"step", step}}, where));
  reporter.note(fmt::format("{}: {} tensors of step {}, {}", wanted.out.string(), tensors.size(),
                            thousands(checkpoint.step), to_string(wanted.format)));
  if (more && !wanted.all_outputs)
    reporter.note("without the outputs that the import dropped; add them with --all-outputs");
}

}  // namespace orrery::engine
