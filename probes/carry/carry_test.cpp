#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <orrery/testing/model_on_batch.h>
#include <orrery/transformer.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>
#include <set>

#include "sums.h"

namespace orrery::testing {
namespace {

using torch::Tensor;

constexpr int64_t kDigits = 4, kSum = kDigits + 1;

TaskSpec spec_of(int64_t base = 10) {
  TaskSpec spec{.d_vocab = base + 2, .d_vocab_out = base, .n_ctx = 2 * kDigits + 2 + kSum};
  for (int64_t i = 0; i < kSum; ++i) spec.read_out.push_back(2 * kDigits + 1 + i);
  return spec;
}

// Random sums, written by counting: 1234+5678=06912.
Tensor random_sums(int64_t n, const Layout& layout, int64_t largest_leading) {
  const auto rng = make_generator(7);
  const Tensor tokens = torch::zeros({n, 2 * layout.n_digits + 2 + layout.n_sum}, torch::kInt64);
  for (int64_t row = 0; row < n; ++row) {
    tokens[row][layout.n_digits] = layout.base;
    tokens[row][2 * layout.n_digits + 1] = layout.base + 1;
    int64_t value = 0;
    for (int64_t place = layout.n_digits - 1; place >= 0; --place) {
      value *= layout.base;
      for (const int64_t number : {0, 1}) {
        const int64_t below = place == layout.n_digits - 1 ? largest_leading + 1 : layout.base;
        const auto digit = torch::randint(below, {1}, rng, torch::kInt64).item<int64_t>();
        tokens[row][layout.operand_position(number, place)] = digit;
        value += digit;
      }
    }
    for (int64_t place = 0; place < layout.n_sum; ++place, value /= layout.base)
      tokens[row][layout.sum_position(place)] = value % layout.base;
  }
  return tokens;
}

const Layout normal{10, kDigits, kSum, false, false};

// Head 0 knows the sum of both digits, less carries; head 1 whether the column below makes a carry; head 2
// whether it passes one on. The MLP's output is not read.
class Adder final : public Model {
 public:
  explicit Adder(Layout layout)
      : layout_(layout),
        z_(add_hook_point("blocks.0.attn.hook_z")),
        out_(add_hook_point("blocks.0.hook_mlp_out")) {
    add_weight("W", torch::zeros({1}));
  }

  Tensor forward(const Tensor& tokens) override {
    const int64_t batch = tokens.size(0), n_ctx = tokens.size(1), base = layout_.base;
    const Tensor z = torch::zeros({batch, n_ctx, 3, base});
    for (int64_t row = 0; row < batch; ++row)
      for (int64_t place = 0; place < layout_.n_sum; ++place) {
        const Tensor at = z[row][layout_.sum_position(place) - 1];
        at[0][column(tokens[row], place) % base] = 1;
        const int64_t below = column(tokens[row], place - 1);
        at[1][0] = below >= base ? 1 : 0;
        at[2][0] = below == base - 1 && carry_into(tokens[row], place - 1) ? 1 : 0;
      }
    const Tensor seen = z_(z);
    out_(torch::ones({batch, n_ctx, 2}));
    const Tensor sum = seen.select(2, 0);
    const Tensor carry = (seen.select(2, 1) + seen.select(2, 2)).narrow(2, 0, 1);
    return 20 * ((1 - carry) * sum + carry * sum.roll(1, -1));
  }

 private:
  int64_t column(const Tensor& tokens, int64_t place) const {
    if (place < 0 || place >= layout_.n_digits) return 0;
    return tokens[layout_.operand_position(0, place)].item<int64_t>() +
           tokens[layout_.operand_position(1, place)].item<int64_t>();
  }
  bool carry_into(const Tensor& tokens, int64_t place) const {
    bool carry = false;
    for (int64_t below = 0; below < place; ++below) carry = column(tokens, below) + carry >= layout_.base;
    return carry;
  }

  Layout layout_;
  HookPoint &z_, &out_;
};

Recorder measured(Model& model, const Tensor& test, const std::string& json) {
  const torch::NoGradGuard no_grad;
  const TaskSpec spec = spec_of();
  const Batch none;
  const Tensor nothing;
  const ActivationCache cache;
  Split split;
  split.test.tokens = test;
  const Observation observation{0, spec, {}, split, none, model, nothing, cache};
  Recorder recorder;
  make_probe(json)->measure(observation, recorder);
  return recorder;
}

const std::vector<std::string> names{"BA", "UC1", "US9", "cascade", "MS9"};

TEST(Carry, FindsWhichHeadEachSubTaskNeeds) {
  for (const Layout& layout : {normal, Layout{10, kDigits, kSum, true, true}}) {
    Adder adder(layout);
    const auto recorder =
        measured(adder, random_sums(30, layout, 9), R"({"n_sums": 20, "ablation": "zero"})");
    const double right = std::log1p(9 * std::exp(-20)), wrong = right + 20;
    for (const std::string& name : names) {
      EXPECT_EQ(scalar(recorder, "accuracy/" + name), 1) << name;
      EXPECT_NEAR(scalar(recorder, "loss/" + name), right, 1e-12);
      const auto lost = [&](const std::string& of) {
        return scalar(recorder, "accuracy_lost/" + of + "/" + name);
      };
      EXPECT_EQ(lost("head 0.1"), name == "UC1" ? 1 : 0) << name;
      EXPECT_EQ(lost("head 0.2"), name == "US9" || name == "cascade" ? 1 : 0) << name;
      EXPECT_EQ(lost("MLP 0"), 0);
      EXPECT_NEAR(scalar(recorder, "loss_added/head 0.1/" + name), name == "UC1" ? wrong - right : 0, 1e-9);
      // Without any sum all digits are alike: log 10.
      EXPECT_NEAR(scalar(recorder, "loss_added/head 0.0/" + name), std::log(10) - right, 1e-6);
    }
    const auto cut = finding(recorder, "ablation_head_0_1_zero_uc1");
    EXPECT_EQ(std::get<std::string>(cut.fields.at("inputs")), "UC1");
    EXPECT_NEAR(std::get<double>(cut.fields.at("loss_after")), wrong, 1e-9);
    // Where there are no such sums there is no number.
    const Tensor accuracy = tensor(recorder, "accuracy");
    ASSERT_EQ(accuracy.sizes(), (std::vector<int64_t>{5, kSum}));
    const std::vector<int64_t> first{0, 1, 2, 3, 1};
    for (int64_t sub_task = 0; sub_task < 5; ++sub_task)
      for (int64_t place = 0; place < kSum; ++place)
        EXPECT_EQ(accuracy[sub_task][place].isnan().item<bool>(), place < first[sub_task]);
  }
}

// A table of digits that knows no carries does BA, and MS9; random weights do nothing.
TEST(Carry, ANetworkThatDoesNotCarryAndOneThatDoesNothing) {
  Adder adder(normal);
  const HookScope no_carries(adder, {{"blocks.0.attn.hook_z", [](const Tensor& z) {
                                        const Tensor changed = z.clone();
                                        changed.narrow(2, 1, 2).zero_();
                                        return changed;
                                      }}});
  const Tensor test = random_sums(30, normal, 9);
  const auto recorder = measured(adder, test, R"({"n_sums": 20})");
  for (const std::string& name : names)
    EXPECT_EQ(scalar(recorder, "accuracy/" + name), name == "BA" || name == "MS9" ? 1 : 0) << name;
  const TransformerConfig config{.d_model = 16, .n_heads = 2, .d_head = 8, .d_mlp = 16};
  const auto random = make_transformer(config, spec_of(), make_generator(1));
  for (const std::string& name : names)  // 40 sums a digit, and digits that are not independent
    EXPECT_LT(scalar(measured(*random, test, R"({"n_sums": 40})"), "accuracy/" + name), 0.35) << name;
}

// By the definition, with plain loops over the examples.
TEST(Carry, AMeanIsThatOfTheTestInputsAtThePosition) {
  const torch::NoGradGuard no_grad;
  const TransformerConfig config{.n_layers = 2, .d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12};
  const auto model = make_transformer(config, spec_of(), make_generator(1));
  const Tensor test = random_sums(15, normal, 9);
  const auto recorder = measured(*model, test, R"({"n_sums": 6, "seed": 3})");
  const auto made = cells(normal, test, 6, make_generator(3));
  const auto seen = run_with_cache(*model, test).cache;
  const auto loss_without = [&](const std::string& hook, int64_t head, const std::string& name) {
    double sum = 0;
    int64_t places = 0;
    for (const Cell& cell : made) {
      if (sub_tasks()[static_cast<size_t>(cell.sub_task)].first != name) continue;
      ++places;
      const Tensor logits =
          run_with_hooks(*model, cell.sums.tokens,
                         {{hook, [&](const Tensor& x) {
                             const Tensor changed = x.clone();
                             for (int64_t position = 0; position < x.size(1); ++position) {
                               const Tensor at = seen[hook].select(1, position);
                               Tensor to = changed.select(1, position);
                               if (head >= 0) to = to.select(1, head);
                               to.copy_((head >= 0 ? at.select(1, head) : at).mean(0).expand_as(to));
                             }
                             return changed;
                           }}});
      const int64_t position = normal.sum_position(cell.place) - 1;
      for (int64_t row = 0; row < 6; ++row) {
        const Tensor log_p = logits[row][position].to(torch::kFloat64).log_softmax(0);
        sum -= log_p[cell.sums.tokens[row][position + 1].item<int64_t>()].item<double>() / 6;
      }
    }
    return sum / double(places);
  };
  for (const std::string& name : names) {
    const double before = scalar(recorder, "loss/" + name);
    EXPECT_NEAR(scalar(recorder, "loss_added/head 1.1/" + name),
                loss_without("blocks.1.attn.hook_z", 1, name) - before, 1e-5);
    EXPECT_NEAR(scalar(recorder, "loss_added/MLP 0/" + name),
                loss_without("blocks.0.hook_mlp_out", -1, name) - before, 1e-5);
    EXPECT_GT(std::abs(scalar(recorder, "loss_added/MLP 0/" + name)), 1e-4);
  }
}

// Adds up what is written and looks at the columns from the ones up.
SubTask sub_task_of(const Tensor& tokens, int64_t place) {
  std::vector<int64_t> sums;
  for (int64_t i = 0; i < kDigits; ++i)
    sums.push_back(tokens[kDigits - 1 - i].item<int64_t>() + tokens[2 * kDigits - i].item<int64_t>());
  if (place == 0 || sums[place - 1] < 9) return SubTask::BA;
  if (sums[place - 1] > 9) return SubTask::UC1;
  int64_t nines = 0;
  while (nines < place && sums[place - 1 - nines] == 9) ++nines;
  if (nines == place || sums[place - 1 - nines] < 9) return SubTask::MS9;
  return nines == 1 ? SubTask::US9 : SubTask::cascade;
}

TEST(CarrySums, AreOfTheSubTaskAndAddUp) {
  const Tensor test = random_sums(200, normal, 9);
  std::set<std::pair<int, int64_t>> there;
  for (const Cell& cell : cells(normal, test, 25, make_generator(1))) {
    there.emplace(static_cast<int>(cell.sub_task), cell.place);
    ASSERT_EQ(cell.sums.size(), 25);
    for (int64_t row = 0; row < 25; ++row) {
      const Tensor tokens = cell.sums.tokens[row];
      const auto number = [&](int64_t first, int64_t n) {
        int64_t value = 0;
        for (int64_t i = first; i < first + n; ++i) value = 10 * value + tokens[i].item<int64_t>();
        return value;
      };
      EXPECT_EQ(number(0, 4) + number(5, 4), number(10, 5));
      EXPECT_EQ(sub_task_of(tokens, cell.place), cell.sub_task) << cell.place;
      EXPECT_TRUE(cell.sums.labels[row].equal(tokens.narrow(0, 10, 5)));
    }
  }
  EXPECT_EQ(there.size(), 5u + 4 + 3 + 2 + 4);
}

// Leading digits of 4 at most, as in networks that never need the last carry.
TEST(CarrySums, HaveNoDigitsThatTheTaskDoesNotHave) {
  const Tensor test = random_sums(200, normal, 4);
  for (const Cell& cell : cells(normal, test, 25, make_generator(1))) {
    EXPECT_LE(cell.sums.tokens.select(1, 0).max().item<int64_t>(), 4);
    EXPECT_LE(cell.sums.tokens.select(1, kDigits + 1).max().item<int64_t>(), 4);
    EXPECT_TRUE(cell.place < kSum - 1 || cell.sub_task == SubTask::BA);
  }
}

TEST(CarrySums, AreWrittenAsTheTaskWritesThem) {
  for (const auto& [operands, sum] :
       {std::pair(false, false), std::pair(false, true), std::pair(true, true)}) {
    const Layout written{10, kDigits, kSum, operands, sum};
    const Layout found = layout_of(spec_of(), random_sums(20, written, 9));
    EXPECT_EQ(found.operands_reversed, operands);
    EXPECT_EQ(found.sum_reversed, sum);
  }
  Tensor none = random_sums(20, normal, 9);
  none[3][12] = (none[3][12] + 1).remainder(10);
  EXPECT_THROW(layout_of(spec_of(), none), UsageError);
}

TEST(Carry, RefusesOtherTasksAndModels) {
  const auto refusal = make_probe()->needs().refusal;
  const Adder adder(normal);
  EXPECT_EQ(refusal(adder, spec_of()), "");
  TaskSpec other = spec_of();
  other.read_out.pop_back();
  EXPECT_NE(refusal(adder, other), "");
  other = spec_of();
  other.d_vocab += 1;
  EXPECT_NE(refusal(adder, other), "");
  class Blind final : public Model {
   public:
    Tensor forward(const Tensor& tokens) override { return tokens; }
  };
  EXPECT_EQ(refusal(Blind(), spec_of()), "the model has no attention heads");
}

}  // namespace
}  // namespace orrery::testing
