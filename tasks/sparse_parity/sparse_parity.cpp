// (n, k)-parity: the label is the parity of k of the n bits of a random string; the other n - k are noise
// (Barak et al. 2022; Pearce et al. 2023, who call it the 1s and 0s task). With n = 6 and relevant positions
// 0, 2, 5 the string 1 1 1 0 0 0 reads [1, 1, 1, 0, 0, 0] -> 0, as two of the relevant bits are 1; 1 1 0 0 0
// 0 -> 1. Where the training set is fixed a network can memorise it; one that finds the relevant bits
// generalises to unseen strings. With endless data every update sees fresh strings (Barak et al. 2022,
// section 3).
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/task.h>

#include <algorithm>
#include <unordered_set>

namespace {

using orrery::UsageError;

struct Params {
  int64_t n = 30;
  int64_t k = 3;
  std::vector<int64_t> positions;
  int64_t positions_seed = 0;
  int64_t n_train = 1000;
  int64_t n_test = 5000;
  bool endless = false;
  std::string read_out = "two_logits";

  static void fields(orrery::Fields<Params>& f) {
    f.add("n", &Params::n, "bits in a string").between(1, 512);
    f.add("k", &Params::k, "relevant bits").at_least(1);
    f.add("positions", &Params::positions, "the relevant positions, from 0; empty: drawn from positions_seed")
        .at_least(0);
    f.add("positions_seed", &Params::positions_seed, "seed of the relevant positions, where none are given")
        .at_least(0);
    f.add("n_train", &Params::n_train,
          "strings trained on; endless: strings that the training loss is scored on")
        .between(1, 1e6);
    f.add("n_test", &Params::n_test, "strings in the test set").between(0, 1e6);
    f.add("endless", &Params::endless, "whether every step trains on fresh strings");
    f.add("read_out", &Params::read_out,
          "two classes with cross-entropy, or one logit with hinge loss or with the cross-entropy of one, "
          "logistic")
        .one_of({"two_logits", "single_logit", "single_logit_logistic"});
  }

  orrery::Loss loss() const {
    if (read_out == "two_logits") return orrery::Loss::cross_entropy;
    return read_out == "single_logit" ? orrery::Loss::hinge : orrery::Loss::logistic;
  }
};

// "0, 2, 5"
std::string listed(const std::vector<int64_t>& numbers) {
  std::string text;
  for (const int64_t number : numbers) text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text;
}

class SparseParity final : public orrery::Task {
 public:
  explicit SparseParity(Params params) : params_(std::move(params)) {
    const auto [n, k] = std::pair(params_.n, params_.k);
    if (k > n)
      throw UsageError("k = " + std::to_string(k) +
                           " relevant bits, but a string has only n = " + std::to_string(n) + " bits",
                       "set k to 1 to " + std::to_string(n) + ", or raise n");
    positions_ = params_.positions.empty() ? drawn_positions() : given_positions();
    const int64_t asked = params_.n_train + params_.n_test;
    if (n < 62 && asked > (int64_t{1} << n))
      throw UsageError("n_train + n_test = " + std::to_string(asked) + " strings, but there are only 2^" +
                           std::to_string(n) + " = " + std::to_string(int64_t{1} << n),
                       "lower n_train or n_test, or raise n");
  }

  orrery::TaskSpec spec() const override {
    return {.d_vocab = 2,
            .d_vocab_out = params_.read_out == "two_logits" ? 2 : 1,
            .n_ctx = params_.n,
            .read_out = {params_.n - 1},
            .loss = params_.loss(),
            .endless = params_.endless};
  }

  // Drawn from `rng`: the training strings, then those of the test set; no string twice.
  orrery::Split split(torch::Generator rng) const override {
    orrery::Split split;
    if (params_.n <= kListed) {
      const auto numbers = torch::randperm(int64_t{1} << params_.n, rng, torch::kInt64);
      split.train = labelled(binary(numbers.narrow(0, 0, params_.n_train)));
      split.test = labelled(binary(numbers.narrow(0, params_.n_train, params_.n_test)));
      return split;
    }
    std::unordered_set<std::string> seen;
    split.train = labelled(new_strings(params_.n_train, seen, rng));
    split.test = labelled(new_strings(params_.n_test, seen, rng));
    return split;
  }

  // Uniform and independent: strings of the test set may come up as any other.
  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    return labelled(torch::randint(2, {batch_size, params_.n}, rng, torch::kInt64));
  }

  // One relevant bit is flipped, which turns the answer.
  orrery::Batch corrupt(const orrery::Batch& clean, torch::Generator rng) const override {
    const auto relevant = torch::tensor(positions_, torch::kInt64);
    const auto flipped =
        relevant.index_select(0, torch::randint(params_.k, {clean.size()}, rng, torch::kInt64));
    return labelled(
        clean.tokens.scatter(1, flipped.unsqueeze(1), 1 - clean.tokens.gather(1, flipped.unsqueeze(1))));
  }

  orrery::Structure structure() const override {
    orrery::Structure structure;
    structure.relevant_positions = orrery::RelevantPositions{positions_};
    return structure;
  }

  // The relevant bits in brackets.
  std::string show(const torch::Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < params_.n; ++i) {
      const std::string bit = tokens[i].item<int64_t>() ? "1" : "0";
      text += std::binary_search(positions_.begin(), positions_.end(), i) ? "[" + bit + "]" : bit;
    }
    return text;
  }

 private:
  // Up to this n all 2^n strings are shuffled; beyond it strings are drawn one by one, which would be slow if
  // nearly all of them were needed.
  static constexpr int64_t kListed = 20;

  std::vector<int64_t> drawn_positions() const {
    const auto order = torch::randperm(
        params_.n, orrery::make_generator(static_cast<uint64_t>(params_.positions_seed)), torch::kInt64);
    std::vector<int64_t> drawn(order.data_ptr<int64_t>(), order.data_ptr<int64_t>() + params_.k);
    std::sort(drawn.begin(), drawn.end());
    return drawn;
  }

  std::vector<int64_t> given_positions() const {
    std::vector<int64_t> given = params_.positions;
    std::sort(given.begin(), given.end());
    if (static_cast<int64_t>(given.size()) != params_.k)
      throw UsageError("k = " + std::to_string(params_.k) + ", and positions = [" +
                           listed(params_.positions) + "] lists " + std::to_string(given.size()),
                       "set k = " + std::to_string(given.size()));
    if (std::adjacent_find(given.begin(), given.end()) != given.end())
      throw UsageError("positions = [" + listed(params_.positions) + "] lists a position twice",
                       "give each relevant position once");
    if (given.front() < 0 || given.back() >= params_.n)
      throw UsageError("positions = [" + listed(params_.positions) +
                           "] is not within a string of n = " + std::to_string(params_.n) + " bits",
                       "positions run from 0 to " + std::to_string(params_.n - 1));
    return given;
  }

  // Numbers [m] as strings of bits [m, n], the lowest bit first.
  torch::Tensor binary(const torch::Tensor& numbers) const {
    const auto place = torch::pow(2, torch::arange(params_.n, torch::kInt64));
    return numbers.unsqueeze(1).div(place, "floor").remainder(2);
  }

  // `count` uniform random strings that are not in `seen`; adds them to it.
  torch::Tensor new_strings(int64_t count, std::unordered_set<std::string>& seen,
                            torch::Generator rng) const {
    std::vector<torch::Tensor> kept;
    for (int64_t missing = count; missing > 0;) {
      const auto drawn = torch::randint(2, {missing, params_.n}, rng, torch::kInt64);
      std::vector<int64_t> fresh;
      for (int64_t row = 0; row < drawn.size(0); ++row) {
        const int64_t* bits = drawn.data_ptr<int64_t>() + row * params_.n;
        if (seen.insert(std::string(bits, bits + params_.n)).second) fresh.push_back(row);
      }
      kept.push_back(drawn.index_select(0, torch::tensor(fresh, torch::kInt64)));
      missing -= static_cast<int64_t>(fresh.size());
    }
    return kept.empty() ? torch::empty({0, params_.n}, torch::kInt64) : torch::cat(kept);
  }

  orrery::Batch labelled(torch::Tensor tokens) const {
    const auto relevant = tokens.index_select(1, torch::tensor(positions_, torch::kInt64));
    orrery::Batch batch;
    batch.tokens = std::move(tokens);
    batch.labels = relevant.sum(1, /*keepdim=*/true).remainder(2);
    return batch;
  }

  Params params_;
  std::vector<int64_t> positions_;  // ascending
};

}  // namespace

ORRERY_TASK(SparseParity, Params, "sparse_parity", "1.0.0", "The parity of k of the n bits of a string.")
