// A list, then the same list sorted (the ARENA course's challenge of October 2023). Tokens 0..max_value are
// values, max_value + 1 is SEP:
//   11 2 5 0 3 9 SEP 0 2 3 5 9 11
// At SEP and at every sorted value but the last the network predicts the next one. Loss group rank_0 is the
// smallest value, rank_1 the next, and so on.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

namespace {

struct Params : orrery::SampledParams {
  int64_t list_length = 10;
  int64_t max_value = 50;
  bool distinct = true;

  static void fields(orrery::Fields<Params>& f) {
    f.add("list_length", &Params::list_length, "values in a list").between(1, 1024);
    f.add("max_value", &Params::max_value, "values are from 0 to this").between(1, 65536);
    f.add("distinct", &Params::distinct, "whether no value occurs twice in a list");
    orrery::SampledParams::fields(f, "lists");
  }
};

class SortedList final : public orrery::Task {
 public:
  explicit SortedList(Params params) : params_(std::move(params)) {
    if (params_.distinct && params_.list_length > n_values())
      throw orrery::UsageError("a list of " + std::to_string(params_.list_length) +
                                   " distinct values, where only " + std::to_string(n_values()) + " exist",
                               "raise max_value, shorten the list, or set distinct = false");
    double exist = 1;
    for (int64_t i = 0; i < params_.list_length; ++i)
      exist *= static_cast<double>(n_values() - (params_.distinct ? i : 0));
    params_.check_sampled(exist, "lists");
  }

  orrery::TaskSpec spec() const override {
    const int64_t n = params_.list_length;
    orrery::TaskSpec spec{.d_vocab = n_values() + 1,
                          .d_vocab_out = n_values() + 1,  // a token, as in a language model
                          .n_ctx = 2 * n + 1,
                          .endless = params_.endless()};
    for (int64_t rank = 0; rank < n; ++rank) {
      spec.read_out.push_back(n + rank);
      spec.groups.push_back("rank_" + std::to_string(rank));
    }
    return spec;
  }

  orrery::Split split(torch::Generator rng) const override { return params_.sampled_split(*this, rng); }

  // Distinct values are the first of a random order of all.
  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    const int64_t n = params_.list_length;
    const auto list = params_.distinct ? torch::rand({batch_size, n_values()}, rng, torch::kFloat64)
                                             .argsort(int64_t{1}, false)
                                             .narrow(1, 0, n)
                                             .contiguous()
                                       : torch::randint(n_values(), {batch_size, n}, rng, torch::kInt64);
    const auto sorted = std::get<0>(list.sort(1));
    return {.tokens = torch::cat({list, torch::full({batch_size, 1}, n_values(), torch::kInt64), sorted}, 1),
            .labels = sorted,
            .groups = torch::arange(n, torch::kInt64).repeat({batch_size, 1})};
  }

  std::string show(const torch::Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < tokens.size(0); ++i) {
      const auto token = tokens[i].item<int64_t>();
      text += (i ? " " : "") + (token == n_values() ? "SEP" : std::to_string(token));
    }
    return text;
  }

 private:
  int64_t n_values() const { return params_.max_value + 1; }

  Params params_;
};

}  // namespace

ORRERY_TASK(SortedList, Params, "sorted_list", "1.0.0", "A list, and then the same list sorted.")
