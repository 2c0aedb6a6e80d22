// Multitask sparse parity (Michaud et al. 2023, "The Quantization Model of Neural Scaling", arXiv 2303.13506,
// section 3): many sparse parities in one network. A string has n_tasks control bits, of which one is 1, and
// n task bits. Subtask i has a random subset S_i of k task bits, and the label is the parity of the bits in
// the subset of the subtask that is switched on. Subtask i = 1, 2, ... comes up with a frequency proportional
// to i^-(alpha + 1), so the subtasks are learned one after another. With n_tasks = 3, n = 5 and S_2 = {0, 3},
//   0 1 0  1 1 0 0 1   asks for subtask 2, and its bits 0 and 3 are 1 and 0: the label is 1.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/task.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_set>

namespace {

using orrery::UsageError;
using torch::Tensor;

struct Params {
  enum class LossGroups { subtasks, octaves };
  friend orrery::Names<LossGroups> names_of(LossGroups) {
    return {{"subtasks", LossGroups::subtasks}, {"octaves", LossGroups::octaves}};
  }

  int64_t n_tasks = 20;
  int64_t n = 30;
  int64_t k = 3;
  double alpha = 0.4;
  int64_t subsets_seed = 0;
  int64_t n_train = 0;
  int64_t n_test_per_task = 200;
  LossGroups loss_groups = LossGroups::subtasks;

  static void fields(orrery::Fields<Params>& f) {
    f.add("n_tasks", &Params::n_tasks, "subtasks, each with a control bit").between(1, 2048);
    f.add("n", &Params::n, "task bits").between(1, 512);
    f.add("k", &Params::k, "relevant bits of each subtask").at_least(1);
    f.add("alpha", &Params::alpha,
          "subtask i has a frequency proportional to i^-(alpha + 1); -1: all are alike")
        .between(-1, 10);
    f.add("subsets_seed", &Params::subsets_seed, "seed of the subsets of relevant bits").at_least(0);
    f.add("n_train", &Params::n_train, "number of training strings, drawn once; 0: fresh ones at each step")
        .between(0, 1e7);
    f.add("n_test_per_task", &Params::n_test_per_task, "strings in the test set for each subtask")
        .between(1, 1e5);
    f.add("loss_groups", &Params::loss_groups,
          "whether the loss is reported for each subtask, or for 1, 2 to 3, 4 to 7, ... together");
  }
};

// The number of subsets of k of n things, or infinity.
double n_subsets(int64_t n, int64_t k) {
  double count = 1;
  for (int64_t i = 1; i <= k; ++i) count *= static_cast<double>(n - k + i) / static_cast<double>(i);
  return std::round(count);
}

// The octave of subtask index i = 0, 1, ...: 0, 1, 1, 2, 2, 2, 2, 3, ...
int64_t octave(int64_t i) { return static_cast<int64_t>(std::log2(static_cast<double>(i) + 1)); }

class MultitaskSparseParity final : public orrery::Task {
 public:
  explicit MultitaskSparseParity(Params params) : params_(params) {
    refuse_what_cannot_be();
    draw_subsets();
    double sum = 0;
    for (int64_t i = 0; i < params_.n_tasks; ++i) {
      frequencies_.push_back(std::pow(static_cast<double>(i) + 1, -(params_.alpha + 1)));
      sum += frequencies_.back();
    }
    for (double& frequency : frequencies_) frequency /= sum;
  }

  orrery::TaskSpec spec() const override {
    return {.d_vocab = 2,
            .d_vocab_out = 2,
            .n_ctx = params_.n_tasks + params_.n,
            .read_out = {params_.n_tasks + params_.n - 1},
            .groups = group_names(),
            .endless = params_.n_train == 0,
            .metrics = {"n_learned", "weighted_accuracy"},
            .auxiliary = {"subtask"}};
  }

  // The test set comes first, so that it is the same for every n_train.
  orrery::Split split(torch::Generator rng) const override {
    orrery::Split split;
    split.test = balanced(rng);
    split.train = params_.n_train == 0 ? balanced(rng) : training_strings(split.test, rng);
    return split;
  }

  // Drawn from `rng` in this order: the subtasks, the task bits.
  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    const auto tossed = torch::rand({batch_size}, rng, torch::kFloat64);
    const auto subtasks = torch::empty({batch_size}, torch::kInt64);
    std::vector<double> up_to;
    for (const double frequency : frequencies_)
      up_to.push_back((up_to.empty() ? 0 : up_to.back()) + frequency);
    up_to.back() = 1;  // whatever the rounding of the sum
    for (int64_t row = 0; row < batch_size; ++row)
      subtasks.data_ptr<int64_t>()[row] =
          std::upper_bound(up_to.begin(), up_to.end(), tossed.data_ptr<double>()[row]) - up_to.begin();
    return labelled(subtasks, torch::randint(2, {batch_size, params_.n}, rng, torch::kInt64));
  }

  std::vector<double> metrics(const Tensor& logits, const orrery::Batch& examples) const override {
    const auto subtasks = examples.auxiliary.at("subtask") - 1;
    const auto scores = logits.select(1, 0).to(torch::kFloat64);  // [batch, 2]
    const auto loss = -scores.log_softmax(1).gather(1, examples.labels).flatten();
    const auto none = torch::zeros({params_.n_tasks}, torch::kFloat64);
    const auto total = none.index_add(0, subtasks, loss);
    const auto count = none.index_add(0, subtasks, torch::ones_like(loss));
    const auto learned = (total < kLearned * std::log(2.0) * count).sum().item<double>();
    const auto right = (scores.argmax(1) == examples.labels.flatten()).to(torch::kFloat64);
    const auto weights =
        examples.weights.defined() ? examples.weights.to(torch::kFloat64) : torch::ones_like(right);
    return {learned, ((right * weights).sum() / weights.sum()).item<double>()};
  }

  // "task 2: [1]10[0]1"
  std::string show(const Tensor& tokens) const override {
    const auto subtask = tokens.narrow(0, 0, params_.n_tasks).argmax().item<int64_t>();
    std::string text = "task " + std::to_string(subtask + 1) + ": ";
    const auto& subset = subsets_[subtask];
    for (int64_t i = 0; i < params_.n; ++i) {
      const std::string bit = std::to_string(tokens[params_.n_tasks + i].item<int64_t>());
      text += std::binary_search(subset.begin(), subset.end(), i) ? "[" + bit + "]" : bit;
    }
    return text;
  }

 private:
  // A subtask counts as learned from here on, in bits.
  static constexpr double kLearned = 0.1;

  static constexpr int64_t kMostNumbers = int64_t{1} << 28;  // 2 GB

  void refuse_what_cannot_be() const {
    const auto [n, k] = std::pair(params_.n, params_.k);
    if (k > n)
      throw UsageError("k = " + std::to_string(k) +
                           " relevant bits, but there are only n = " + std::to_string(n) + " task bits",
                       "set k to 1 to " + std::to_string(n) + ", or raise n");
    if (n_subsets(n, k) < static_cast<double>(params_.n_tasks))
      throw UsageError("n_tasks = " + std::to_string(params_.n_tasks) +
                           " subtasks, but n = " + std::to_string(n) + " bits have only " +
                           std::to_string(static_cast<int64_t>(n_subsets(n, k))) +
                           " subsets of k = " + std::to_string(k),
                       "lower n_tasks, or raise n");
    if (params_.n_train > 0 && n < 40 && 2 * params_.n_test_per_task > (int64_t{1} << n))
      throw UsageError("n_test_per_task = " + std::to_string(params_.n_test_per_task) + " of the 2^" +
                           std::to_string(n) + " = " + std::to_string(int64_t{1} << n) +
                           " strings of a subtask leaves too few for training",
                       "lower n_test_per_task to at most half of them, or raise n");
    const int64_t numbers = params_.n_tasks * params_.n_test_per_task * (params_.n_tasks + n);
    if (numbers > kMostNumbers)
      throw UsageError("the test set would have n_tasks * n_test_per_task = " +
                           std::to_string(params_.n_tasks * params_.n_test_per_task) + " strings, or " +
                           std::to_string(numbers / kMostNumbers * 2) + " GB",
                       "lower n_test_per_task");
  }

  // Different ones, each ascending.
  void draw_subsets() {
    auto rng = orrery::make_generator(static_cast<uint64_t>(params_.subsets_seed));
    std::set<std::vector<int64_t>> taken;
    while (static_cast<int64_t>(subsets_.size()) < params_.n_tasks) {
      const auto order = torch::randperm(params_.n, rng, torch::kInt64);
      std::vector<int64_t> subset(order.data_ptr<int64_t>(), order.data_ptr<int64_t>() + params_.k);
      std::sort(subset.begin(), subset.end());
      if (taken.insert(subset).second) subsets_.push_back(subset);
    }
  }

  std::vector<std::string> group_names() const {
    std::vector<std::string> names;
    if (params_.loss_groups == Params::LossGroups::subtasks) {
      for (int64_t i = 1; i <= params_.n_tasks; ++i) names.push_back("task_" + std::to_string(i));
      return names;
    }
    for (int64_t first = 1; first <= params_.n_tasks; first *= 2) {
      const int64_t last = std::min(2 * first - 1, params_.n_tasks);
      names.push_back(first == last ? "task_" + std::to_string(first)
                                    : "tasks_" + std::to_string(first) + "_" + std::to_string(last));
    }
    return names;
  }

  // n_test_per_task strings of each subtask. Their weights are the frequencies in training.
  orrery::Batch balanced(torch::Generator rng) const {
    const auto subtasks =
        torch::arange(params_.n_tasks, torch::kInt64).repeat_interleave(params_.n_test_per_task);
    auto batch = labelled(subtasks, torch::randint(2, {subtasks.numel(), params_.n}, rng, torch::kInt64));
    const auto relative = torch::tensor(frequencies_, torch::kFloat64) * params_.n_tasks;
    batch.weights = relative.to(torch::kFloat32).index_select(0, subtasks);
    return batch;
  }

  // n_train strings as sample() draws them, but none of the test set.
  orrery::Batch training_strings(const orrery::Batch& test, torch::Generator rng) const {
    std::unordered_set<std::string> in_test;
    for (int64_t row = 0; row < test.size(); ++row) in_test.insert(bytes_of(test.tokens, row));
    orrery::Batch all = sample(params_.n_train, orrery::final_step, rng);
    for (int64_t row = 0; row < params_.n_train; ++row)
      while (in_test.count(bytes_of(all.tokens, row)))
        all.tokens[row]
            .narrow(0, params_.n_tasks, params_.n)
            .copy_(torch::randint(2, {params_.n}, rng, torch::kInt64));
    return labelled(all.auxiliary.at("subtask") - 1, all.tokens.narrow(1, params_.n_tasks, params_.n));
  }

  static std::string bytes_of(const Tensor& tokens, int64_t row) {
    const int64_t* first = tokens.data_ptr<int64_t>() + row * tokens.size(1);
    return {first, first + tokens.size(1)};
  }

  // `subtasks` [batch] from 0, `bits` [batch, n].
  orrery::Batch labelled(const Tensor& subtasks, const Tensor& bits) const {
    const int64_t size = subtasks.numel();
    const auto tokens = torch::zeros({size, params_.n_tasks + params_.n}, torch::kInt64);
    tokens.scatter_(1, subtasks.unsqueeze(1), 1);
    tokens.narrow(1, params_.n_tasks, params_.n).copy_(bits);
    std::vector<int64_t> flat;
    for (const auto& subset : subsets_) flat.insert(flat.end(), subset.begin(), subset.end());
    const auto relevant = torch::tensor(flat, torch::kInt64).reshape({params_.n_tasks, params_.k});
    const auto labels =
        bits.gather(1, relevant.index_select(0, subtasks)).sum(1, /*keepdim=*/true).remainder(2);
    auto groups = subtasks;
    if (params_.loss_groups == Params::LossGroups::octaves) {
      groups = subtasks.clone();
      int64_t* group = groups.data_ptr<int64_t>();
      for (int64_t row = 0; row < size; ++row) group[row] = octave(group[row]);
    }
    return {.tokens = tokens,
            .labels = labels,
            .groups = groups.unsqueeze(1).clone(),
            .auxiliary = {{"subtask", subtasks + 1}}};
  }

  Params params_;
  std::vector<std::vector<int64_t>> subsets_;  // [n_tasks][k]
  std::vector<double> frequencies_;            // [n_tasks], adding up to 1
};

}  // namespace

ORRERY_TASK(MultitaskSparseParity, Params, "multitask_sparse_parity", "1.0.0",
            "Many sparse parities at once, of frequencies that fall as a power.")
