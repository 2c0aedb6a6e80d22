#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/task.h>

namespace orrery {

Task::~Task() = default;

std::string to_string(Loss loss) {
  switch (loss) {
    case Loss::cross_entropy:
      return "cross_entropy";
    case Loss::hinge:
      return "hinge";
    case Loss::logistic:
      return "logistic";
    case Loss::mse_one_hot:
      return "mse_one_hot";
  }
  return "unknown";
}

Batch Task::sample(int64_t, int64_t, torch::Generator) const {
  throw Error("the task's spec() says endless, but it does not override sample()");
}

std::vector<double> Task::metrics(const torch::Tensor&, const Batch&) const {
  throw Error("the task's spec() names metrics, but it does not override metrics()");
}

std::unique_ptr<Model> Task::make_model(torch::Generator) const { return nullptr; }

Batch Task::corrupt(const Batch&, torch::Generator) const { return {}; }

Structure Task::structure() const { return {}; }

std::string Task::show(const torch::Tensor& tokens) const {
  const auto flat = tokens.to(torch::kInt64).contiguous();
  const int64_t* data = flat.data_ptr<int64_t>();
  return fmt::format("{}", fmt::join(data, data + flat.numel(), " "));
}

namespace {

// The tensors of a batch, in the order in which a Batch declares them.
constexpr std::pair<const char*, torch::Tensor Batch::*> parts[] = {
    {"tokens", &Batch::tokens}, {"labels", &Batch::labels},       {"scored", &Batch::scored},
    {"groups", &Batch::groups}, {"repeat_of", &Batch::repeat_of}, {"weights", &Batch::weights}};

// With `change` applied to every defined tensor.
template <class Change>
Batch changed(const Batch& batch, Change&& change) {
  Batch result;
  for (const auto& [name, part] : parts)
    if ((batch.*part).defined()) result.*part = change(batch.*part);
  for (const auto& [name, tensor] : batch.auxiliary)
    result.auxiliary.emplace(name, tensor.defined() ? change(tensor) : tensor);
  return result;
}

}  // namespace

Batch Batch::rows(const torch::Tensor& rows) const {
  return changed(*this, [&](const torch::Tensor& tensor) { return tensor.index_select(0, rows); });
}

Batch Batch::to(torch::Device device) const {
  return changed(*this, [&](const torch::Tensor& tensor) { return tensor.to(device); });
}

std::vector<std::pair<std::string, torch::Tensor>> Batch::tensors() const {
  std::vector<std::pair<std::string, torch::Tensor>> all;
  for (const auto& [name, part] : parts)
    if ((this->*part).defined()) all.emplace_back(name, this->*part);
  for (const auto& [name, tensor] : auxiliary)
    if (tensor.defined()) all.emplace_back("auxiliary/" + name, tensor);
  return all;
}

Split Split::of_grid(Batch grid, torch::Tensor train_rows, torch::Tensor test_rows) {
  Split split{grid.rows(train_rows), grid.rows(test_rows), {}, train_rows, test_rows};
  split.grid = std::move(grid);
  return split;
}

torch::Generator make_generator(uint64_t seed) { return at::detail::createCPUGenerator(seed); }

}  // namespace orrery
