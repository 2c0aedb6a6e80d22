// Addition mod 7 as [a, b, 7] -> c, right in everything but what `fault` names. Without one it passes every
// check.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/task.h>

#include <cstdlib>

namespace {

using torch::Tensor;

constexpr int64_t p = 7;

struct Params {
  std::string fault;
  int64_t copies = 1;
  static void fields(orrery::Fields<Params>& f) {
    f.add("fault", &Params::fault, "what it is wrong in; empty: nothing");
    f.add("copies", &Params::copies, "not used");
  }
};

// Two logits too many; and fast_read_out() does not agree with forward().
class WrongModel final : public orrery::Model {
 public:
  WrongModel() : W_(add_weight("W", torch::ones({p}))) {}
  Tensor forward(const Tensor& tokens) override { return W_.expand({tokens.size(0), tokens.size(1), p}) + 0; }
  std::unique_ptr<orrery::ReadOutPass> fast_read_out(const orrery::ReadOutRequest& request) override {
    const auto n = static_cast<int64_t>(request.positions.size());
    return orrery::make_pass([this, n, batch = request.tokens.size(0)] {
      return W_.expand({batch, n, p}) + 1;
    });
  }

 private:
  Tensor W_;
};

class LyingTask final : public orrery::Task {
 public:
  explicit LyingTask(Params params) : params_(std::move(params)) {
    if (params_.copies < 1 && !is("accepts_what_it_cannot_do"))
      throw orrery::UsageError("copies = " + std::to_string(params_.copies), "set copies to 1 or more");
  }

  orrery::TaskSpec spec() const override {
    orrery::TaskSpec spec{.d_vocab = p + 1, .d_vocab_out = p, .n_ctx = 3, .read_out = {2}};
    if (is("empty_loss_group")) spec.groups = {"low", "high"};
    spec.endless = is("sample_without_generator");
    spec.metrics = {"sure", "even"};
    spec.auxiliary = {"parity"};
    return spec;
  }

  orrery::Split split(torch::Generator rng) const override {
    if (is("crash")) std::abort();
    if (is("hang"))
      for (;;) {
      }
    if (params_.copies < 1) torch::zeros({2}).matmul(torch::zeros({3}));
    if (is("draws_beside")) torch::rand({1});
    auto rows =
        is("unseeded") ? torch::randperm(p * p, torch::kInt64) : torch::randperm(p * p, rng, torch::kInt64);
    if (is("own_seed")) rows = torch::randperm(p * p, orrery::make_generator(42), torch::kInt64);
    Tensor test = rows.narrow(0, 20, p * p - 20).clone();
    if (is("test_in_train")) test[0] = rows[3];
    auto split = orrery::Split::of_grid(grid(), rows.narrow(0, 0, 20), test);
    if (is("grid_of_another_order")) split.train_rows = split.train_rows.flip(0);
    return split;
  }

  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator) const override {
    return grid().rows(torch::arange(batch_size, torch::kInt64).remainder(p * p));
  }

  std::vector<double> metrics(const Tensor& logits, const orrery::Batch& examples) const override {
    if (is("too_few_metrics")) return {0};
    if (is("metrics_change_the_logits")) Tensor(logits).mul_(2);
    if (is("metrics_change_the_examples")) examples.auxiliary.at("parity").data_ptr<int64_t>()[0] += 1;
    if (is("metrics_remember")) ++calls_;
    return {logits.amax(-1).mean().item<double>() + static_cast<double>(calls_),
            examples.auxiliary.at("parity").eq(0).sum().item<double>()};
  }

  std::unique_ptr<orrery::Model> make_model(torch::Generator) const override {
    return is("wrong_model") ? std::make_unique<WrongModel>() : nullptr;
  }

  orrery::Structure structure() const override {
    std::vector<int64_t> identity, reversed;
    for (int64_t i = 0; i < p; ++i) identity.push_back(i), reversed.push_back((p - i) % p);
    orrery::Structure structure;
    structure.cyclic =
        orrery::CyclicStructure{p, identity, is("wrong_index_map") ? reversed : identity, identity, 0, 1};
    structure.group = orrery::GroupStructure{table(), {}, true, 0, 1};
    structure.relevant_positions = orrery::RelevantPositions{{0, 1}};
    if (is("hidden_dependence")) structure.relevant_positions->positions = {1};
    if (is("wrong_repeats")) structure.repeats = orrery::RepeatStructure{1, 2};
    return structure;
  }

  std::string show(const Tensor& tokens) const override {
    if (is("shows_nothing")) return "";
    return std::to_string(tokens[0].item<int64_t>()) + " + " + std::to_string(tokens[1].item<int64_t>()) +
           " =";
  }

 private:
  bool is(const std::string& fault) const { return params_.fault == fault; }

  // Every pair.
  orrery::Batch grid() const {
    const auto n = torch::arange(p * p, torch::kInt64);
    const auto a = n.div(p, "floor"), b = n.remainder(p);
    orrery::Batch all;
    all.tokens = torch::stack({a, b, torch::full_like(n, is("token_out_of_range") ? p + 1 : p)}, 1);
    all.labels = (a + b).remainder(p).unsqueeze(1);
    if (is("label_out_of_range")) all.labels[12][0] = p;
    if (is("wrong_dtype")) all.labels = all.labels.to(torch::kInt32);
    if (is("nothing_counts")) all.scored = torch::zeros({p * p, 1}, torch::kBool);
    if (is("empty_loss_group")) all.groups = torch::zeros({p * p, 1}, torch::kInt64);
    all.auxiliary["parity"] = all.labels.remainder(2).to(torch::kInt64);
    if (is("auxiliary_of_another_shape")) all.auxiliary["parity"] = torch::zeros({p * p, 2}, torch::kInt64);
    if (is("weights_of_another_dtype")) all.weights = torch::ones({p * p}, torch::kFloat64);
    if (is("wrong_repeats")) all.repeat_of = torch::tensor({-1, 0, -1}, torch::kInt64).repeat({p * p, 1});
    return all;
  }

  std::vector<std::vector<int64_t>> table() const {
    std::vector<std::vector<int64_t>> table(p, std::vector<int64_t>(p));
    for (int64_t x = 0; x < p; ++x)
      for (int64_t y = 0; y < p; ++y) table[x][y] = (x + y + (is("table_of_another_operation") ? 1 : 0)) % p;
    if (is("wrong_cayley_table")) std::swap(table[2][3], table[2][4]);
    return table;
  }

  Params params_;
  mutable int64_t calls_ = 0;
};

}  // namespace

ORRERY_TASK(LyingTask, Params, "lying_task", "1.0.0", "Addition mod 7, with a fault.")
