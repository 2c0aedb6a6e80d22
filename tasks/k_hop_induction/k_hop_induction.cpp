// k-hop induction heads (Sanford, Hsu & Telgarsky 2024, "Transformers, Parallel Computation, and Logarithmic
// Depth", arXiv 2402.09268). One hop from a position: to what followed the last earlier occurrence of the
// token there,
//   find(i) = 1 + max{j < i : X_j = X_i}
// and hop_k(i) is the token at find(find(...find(i))), k times over, or "none" if one of them does not exist.
// hop_1 is what an induction head predicts. With the string X at positions 0 to 7,
//   2 0 1 2 0 3 1 2
// the last token, 2, stood at 3 before; what followed is the 0 at position 4: hop_1 = 0. This 0 stood at 1
// before, and what followed is the 1 at position 2: hop_2 = 1. There is no 1 before that: hop_3 = none.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace {

using orrery::UsageError;
using torch::Tensor;

struct Params : orrery::SampledParams {
  enum class ReadOut { all, last };
  friend orrery::Names<ReadOut> names_of(ReadOut) { return {{"all", ReadOut::all}, {"last", ReadOut::last}}; }

  int64_t k = 2;
  int64_t vocabulary = 4;
  int64_t length = 32;
  bool mixed = false;
  ReadOut read_out = ReadOut::all;
  int64_t curriculum = 0;

  static void fields(orrery::Fields<Params>& f) {
    f.add("k", &Params::k, "hops; 0: the token itself").between(0, 32);
    f.add("vocabulary", &Params::vocabulary, "number of different tokens in a string").between(3, 4096);
    f.add("length", &Params::length, "tokens in a string").between(2, 4096);
    f.add("mixed", &Params::mixed,
          "whether each string has a number of hops of its own, 0 to k, said by a first token");
    f.add("read_out", &Params::read_out, "whether every position has an output, or the last one only");
    f.add("curriculum", &Params::curriculum,
          "steps with at most 1 hop, then as many with at most 2, and so on up to k; 0: k from the start")
        .at_least(0);
    orrery::SampledParams::fields(f, "strings");
  }
};

class KHopInduction final : public orrery::Task {
 public:
  explicit KHopInduction(Params params) : params_(std::move(params)) {
    if (params_.curriculum > 0 && !params_.endless())
      throw UsageError("curriculum = " + std::to_string(params_.curriculum) + " steps, but the n_train = " +
                           std::to_string(params_.n_train) + " training strings are drawn once",
                       "set n_train = 0 for fresh strings at each step, or curriculum = 0");
    const double v = static_cast<double>(params_.vocabulary), hops = static_cast<double>(params_.k) + 1;
    params_.check_sampled(
        (params_.mixed ? hops : 1) * v * std::pow(v - 1, static_cast<double>(params_.length) - 1), "strings");
  }

  orrery::TaskSpec spec() const override {
    std::vector<int64_t> read_out(n_read());
    std::iota(read_out.begin(), read_out.end(), n_ctx() - n_read());
    return {.d_vocab = params_.vocabulary + (params_.mixed ? params_.k + 1 : 0),
            .d_vocab_out = params_.vocabulary + 1,
            .n_ctx = n_ctx(),
            .read_out = read_out,
            .groups = group_names(),
            .endless = params_.endless(),
            .auxiliary = {"source"}};
  }

  orrery::Split split(torch::Generator rng) const override { return params_.sampled_split(*this, rng); }

  // Drawn from `rng` in this order, whatever the step: the strings, the hops where they are mixed.
  orrery::Batch sample(int64_t batch_size, int64_t step, torch::Generator rng) const override {
    const auto strings = draw_strings(batch_size, rng);
    const auto tossed = params_.mixed ? torch::rand({batch_size}, rng, torch::kFloat64) : Tensor();
    const int64_t most = most_hops(step);
    const auto hops = params_.mixed ? (tossed * static_cast<double>(most + 1)).to(torch::kInt64)
                                    : torch::full({batch_size}, most, torch::kInt64);
    return answered(strings, hops);
  }

  // "2 0 1 2", with mixed "3 hops: 2 0 1 2".
  std::string show(const Tensor& tokens) const override {
    if (!params_.mixed) return Task::show(tokens);
    const int64_t hops = tokens[0].item<int64_t>() - params_.vocabulary;
    return std::to_string(hops) + (hops == 1 ? " hop: " : " hops: ") +
           Task::show(tokens.narrow(0, 1, params_.length));
  }

 private:
  int64_t n_ctx() const { return params_.length + (params_.mixed ? 1 : 0); }
  int64_t n_read() const { return params_.read_out == Params::ReadOut::all ? params_.length : 1; }
  int64_t none() const { return params_.vocabulary; }

  // Of the curriculum after `step` updates.
  int64_t most_hops(int64_t step) const {
    return params_.curriculum == 0 ? params_.k : std::min(params_.k, 1 + step / params_.curriculum);
  }

  // The last token of a long string nearly always has an answer, and without hops every one has.
  bool grouped_by_existence() const {
    return !params_.mixed && params_.k > 0 && params_.read_out == Params::ReadOut::all;
  }

  std::vector<std::string> group_names() const {
    if (grouped_by_existence()) return {"exists", "none"};
    std::vector<std::string> names;
    if (!params_.mixed) return names;
    for (int64_t hops = 0; hops <= params_.k; ++hops) names.push_back("hops_" + std::to_string(hops));
    return names;
  }

  // [batch, length]: uniform among strings without the same token twice in a row, as in the source's
  // experiments.
  Tensor draw_strings(int64_t batch_size, torch::Generator rng) const {
    const auto first = torch::randint(params_.vocabulary, {batch_size, 1}, rng, torch::kInt64);
    const auto onwards =
        torch::randint(1, params_.vocabulary, {batch_size, params_.length - 1}, rng, torch::kInt64);
    return torch::cat({first, onwards}, 1).cumsum(1).remainder(params_.vocabulary);
  }

  // `strings` [batch, length], `hops` [batch].
  orrery::Batch answered(const Tensor& strings, const Tensor& hops) const {
    const int64_t size = strings.size(0), length = params_.length;
    const auto labels = torch::empty({size, length}, torch::kInt64);
    const auto source = torch::empty({size, length}, torch::kInt64);
    for (int64_t row = 0; row < size; ++row)
      answer(strings.data_ptr<int64_t>() + row * length, hops.data_ptr<int64_t>()[row],
             labels.data_ptr<int64_t>() + row * length, source.data_ptr<int64_t>() + row * length);
    const int64_t skipped = length - n_read();
    orrery::Batch batch{.tokens = strings, .labels = labels.narrow(1, skipped, n_read()).contiguous()};
    const auto where = source.narrow(1, skipped, n_read()) + (params_.mixed ? 1 : 0);
    batch.auxiliary = {{"source", where.masked_fill(batch.labels == none(), -1)}};
    if (params_.mixed) {
      batch.tokens = torch::cat({(params_.vocabulary + hops).unsqueeze(1), strings}, 1);
      batch.groups = hops.unsqueeze(1).expand({size, n_read()}).contiguous();
    } else if (grouped_by_existence()) {
      batch.groups = (batch.labels == none()).to(torch::kInt64);
    }
    return batch;
  }

  // One string: for every position the token `hops` hops away and its position in the string, or none() and
  // -1.
  void answer(const int64_t* string, int64_t hops, int64_t* labels, int64_t* source) const {
    std::vector<int64_t> last(params_.vocabulary, -1), find(params_.length);
    for (int64_t i = 0; i < params_.length; ++i) {
      int64_t& earlier = last[string[i]];
      find[i] = earlier < 0 ? -1 : earlier + 1;
      earlier = i;
    }
    for (int64_t i = 0; i < params_.length; ++i) {
      int64_t at = i;
      for (int64_t hop = 0; hop < hops && at >= 0; ++hop) at = find[at];
      source[i] = at;
      labels[i] = at < 0 ? none() : string[at];
    }
  }

  Params params_;
};

}  // namespace

ORRERY_TASK(KHopInduction, Params, "k_hop_induction", "1.0.0",
            "What follows the last earlier occurrence of a token, k times over.")
