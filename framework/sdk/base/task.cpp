#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/task.h>

namespace orrery {

Task::~Task() = default;

Batch Task::sample(int64_t, torch::Generator) const {
  throw Error("the task's spec() says endless, but it does not override sample()");
}

std::unique_ptr<Model> Task::make_model(torch::Generator) const { return nullptr; }

Structure Task::structure() const { return {}; }

std::string Task::show(const torch::Tensor& tokens) const {
  const auto flat = tokens.to(torch::kInt64).contiguous();
  const int64_t* data = flat.data_ptr<int64_t>();
  return fmt::format("{}", fmt::join(data, data + flat.numel(), " "));
}

namespace {
torch::Tensor rows_of(const torch::Tensor& tensor, const torch::Tensor& rows) {
  return tensor.defined() ? tensor.index_select(0, rows) : tensor;
}
torch::Tensor moved(const torch::Tensor& tensor, torch::Device device) {
  return tensor.defined() ? tensor.to(device) : tensor;
}
}  // namespace

Batch Batch::rows(const torch::Tensor& rows) const {
  return {rows_of(tokens, rows), rows_of(labels, rows), rows_of(scored, rows), rows_of(groups, rows),
          rows_of(repeat_of, rows)};
}

Batch Batch::to(torch::Device device) const {
  return {moved(tokens, device), moved(labels, device), moved(scored, device), moved(groups, device),
          moved(repeat_of, device)};
}

Split Split::of_grid(Batch grid, torch::Tensor train_rows, torch::Tensor test_rows) {
  Split split{grid.rows(train_rows), grid.rows(test_rows), {}, train_rows, test_rows};
  split.grid = std::move(grid);
  return split;
}

torch::Generator make_generator(uint64_t seed) { return at::detail::createCPUGenerator(seed); }

}  // namespace orrery
