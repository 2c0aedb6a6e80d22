// x y in a finite group, by name or by its Cayley table: tasks on which small networks grok, commutative or
// not (Power et al. 2022; Chughtai et al. 2023). Tokens 0..N-1 are the elements, token N is "=". In D_3, the
// symmetries of a triangle, tokens 0 to 5 are 1, r, r^2, s, r s, r^2 s, and s r = r^-1 s = r^2 s. So s * r =
// reads [3, 1, 6] and is 5, where r * s = reads [1, 3, 6] and is 4.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <numeric>

#include "named_groups.h"

namespace {

using finite_group::Cayley;

const char* const kDefaultGroup = "D_59";  // of Chughtai et al. 2023

struct Params : orrery::SplitParams {
  std::string group = kDefaultGroup;
  std::string file;
  bool equals_token = true;

  Params() { train_fraction = 0.4; }
  static void fields(orrery::Fields<Params>& f) {
    f.add("group", &Params::group, "Z_n, D_n, Q_n, S_n, A_n, or a product of such, as in Z_6 x D_4");
    f.add("file", &Params::file, "a text file of its Cayley table, instead of a name");
    f.add("equals_token", &Params::equals_token,
          "end inputs with the token N for =; otherwise the last operand is the output position");
    orrery::SplitParams::fields(f);
  }
};

Cayley group_of(const Params& params) {
  if (params.file.empty()) return finite_group::named_group(params.group);
  if (params.group != kDefaultGroup)
    throw orrery::UsageError(
        "both group = \"" + params.group + "\" and file = \"" + params.file + "\" are given",
        "leave one of them out");
  return finite_group::read_cayley(params.file);
}

class FiniteGroupTask final : public orrery::Task {
 public:
  explicit FiniteGroupTask(Params params) : params_(std::move(params)), group_(group_of(params_)) {
    params_.check_split(order() * order());
  }

  orrery::TaskSpec spec() const override {
    const int64_t equals = params_.equals_token ? 1 : 0;
    return {
        .d_vocab = order() + equals, .d_vocab_out = order(), .n_ctx = 2 + equals, .read_out = {1 + equals}};
  }

  // Only the rule of the split draws from `rng`.
  orrery::Split split(torch::Generator rng) const override {
    const auto [train, test] = params_.split_rows(order() * order(), rng);
    return orrery::Split::of_grid(all_pairs(), train, test);
  }

  // The integers modulo n are cyclic without renaming, so that probes of waves apply to them, too.
  orrery::Structure structure() const override {
    orrery::Structure structure{.group =
                                    orrery::GroupStructure{.table = group_.table, .names = group_.names}};
    if (group_.cyclic) {
      std::vector<int64_t> identity(order());
      std::iota(identity.begin(), identity.end(), 0);
      structure.cyclic =
          orrery::CyclicStructure{.order = order(), .left = identity, .right = identity, .result = identity};
    }
    return structure;
  }

  // "r * s ="; the elements of a table from a file are their numbers.
  std::string show(const torch::Tensor& tokens) const override {
    const auto name = [&](int64_t position) {
      const auto token = tokens[position].item<int64_t>();
      return group_.names.empty() ? std::to_string(token) : group_.names.at(token);
    };
    return name(0) + " * " + name(1) + (params_.equals_token ? " =" : "");
  }

 private:
  int64_t order() const { return static_cast<int64_t>(group_.table.size()); }

  // Every pair, y fastest.
  orrery::Batch all_pairs() const {
    const auto row = torch::arange(order() * order(), torch::kInt64);
    std::vector<torch::Tensor> tokens{row.div(order(), "floor"), row.remainder(order())};
    if (params_.equals_token) tokens.push_back(torch::full_like(row, order()));
    std::vector<int64_t> labels;
    for (const auto& products : group_.table) labels.insert(labels.end(), products.begin(), products.end());
    return {.tokens = torch::stack(tokens, 1), .labels = torch::tensor(labels, torch::kInt64).unsqueeze(1)};
  }

  Params params_;
  Cayley group_;
};

}  // namespace

ORRERY_TASK(FiniteGroupTask, Params, "finite_group", "1.0.0",
            "The product of two elements of a finite group.")
