// The guide's table of mistakes, made: a task of two numbers that is wrong where `mistake` says.
#include <orrery/plugin.h>
#include <orrery/task.h>

namespace {

struct Params {
  std::string mistake = "none";
  static void fields(orrery::Fields<Params>& f) {
    f.add("mistake", &Params::mistake, "what is wrong")
        .one_of({"none", "label", "dtype", "shape", "read_out", "cyclic", "throw"});
  }
};

class CarelessTask final : public orrery::Task {
 public:
  explicit CarelessTask(Params params) : params_(std::move(params)) {}

  orrery::TaskSpec spec() const override {
    return {.d_vocab = 5, .d_vocab_out = 5, .n_ctx = 2, .read_out = {made("read_out") ? 2 : 1}};
  }

  orrery::Split split(torch::Generator rng) const override {
    if (made("throw")) torch::zeros({2}) + torch::zeros({3});
    const int64_t n_inputs = made("cyclic") ? 50 : 25;  // with every pair twice
    const auto row = torch::arange(n_inputs, torch::kInt64);
    const auto a = row.div(5, "floor").remainder(5), b = row.remainder(5);
    orrery::Batch grid{.tokens = torch::stack({a, b}, 1), .labels = (a + b).remainder(5).unsqueeze(1)};
    if (made("label")) grid.labels = grid.labels + 1;
    if (made("dtype")) grid.labels = grid.labels.to(torch::kInt32);
    if (made("shape")) grid.labels = grid.labels.squeeze(1);
    const auto order = torch::randperm(n_inputs, rng, torch::kInt64);
    return orrery::Split::of_grid(grid, order.narrow(0, 0, 15), order.narrow(0, 15, n_inputs - 15));
  }

  orrery::Structure structure() const override {
    const std::vector<int64_t> same{0, 1, 2, 3, 4};
    return {.cyclic = orrery::CyclicStructure{5, same, same, same, 0, 1}};
  }

 private:
  bool made(const std::string& mistake) const { return params_.mistake == mistake; }
  Params params_;
};

}  // namespace

ORRERY_TASK(CarelessTask, Params, "careless_task", "1.0.0", "Addition modulo 5, with a mistake.")
