// Examples from a file: what a network was trained on where no task computes it. One example a line, tokens,
// a bar, labels:
//   5 7 12 | 0           the context 5 7 12, and class 0 at its last position
//   3 9 4 9 | -1 -1 -1 4   a label for each position; -1: it does not count
// The published networks that others examined come with such lists, or one is soon written from their code.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>

#include "table_file.h"

namespace {

using orrery::UsageError;
using table::Examples;
using Positions = std::vector<int64_t>;

struct Params : orrery::SplitParams {
  std::string file = "example";
  std::string test_file;
  int64_t d_vocab = 0;
  int64_t d_vocab_out = 0;
  Positions read_out;
  int64_t pad_token = -1;
  std::string contradictions = "refuse";

  Params() { train_fraction = 0.8; }
  static void fields(orrery::Fields<Params>& f) {
    f.add("file", &Params::file, "a text, .csv or .safetensors file of examples; example: a + b mod 5");
    f.add("test_file", &Params::test_file, "the test set, if file is the training set; empty: file is split");
    f.add("d_vocab", &Params::d_vocab, "number of tokens; 0: the largest + 1").between(0, table::most_values);
    f.add("d_vocab_out", &Params::d_vocab_out, "number of classes; 0: the largest label + 1")
        .between(0, table::most_values);
    f.add("read_out", &Params::read_out,
          "positions of the labels, from 0; empty: all, or the last ones where there are fewer labels")
        .at_least(0);
    f.add("pad_token", &Params::pad_token,
          "the token that pads shorter inputs, to which nothing attends; -1: none")
        .between(-1, table::most_values);
    f.add("contradictions", &Params::contradictions,
          "two examples of a file with the same tokens and different labels")
        .one_of({"refuse", "keep"});
    orrery::SplitParams::fields(f);
  }
};

// a + b mod 5 with 5 for "=", as the lines 0 0 5 | 0 to 4 4 5 | 3 would give it.
Examples sums_mod_5() {
  const auto row = torch::arange(25, torch::kInt64);
  const auto a = row.div(5, "floor"), b = row.remainder(5);
  return {torch::stack({a, b, torch::full_like(row, 5)}, 1), (a + b).remainder(5).unsqueeze(1)};
}

class Table final : public orrery::Task {
 public:
  explicit Table(Params params) : params_(std::move(params)), examples_(read(params_.file)) {
    if (!params_.test_file.empty()) {
      refuse_split();
      test_ = read(params_.test_file);
      for (const auto& [name, part] : {std::pair{"tokens", &Examples::tokens}, {"labels", &Examples::labels}})
        if ((examples_.*part).size(1) != (*test_.*part).size(1))
          throw UsageError(params_.test_file + ": " + std::to_string((*test_.*part).size(1)) + " " + name +
                               " an example, and in " + params_.file + " " +
                               std::to_string((examples_.*part).size(1)),
                           "training and test examples have the same form");
    }
    read_out_ = find_read_out();
    select_labels(examples_);
    if (test_)
      select_labels(*test_);
    else
      params_.check_split(examples_.tokens.size(0));
  }

  orrery::TaskSpec spec() const override {
    return {.d_vocab = params_.d_vocab > 0 ? params_.d_vocab : largest(&Examples::tokens) + 1,
            .d_vocab_out = params_.d_vocab_out > 0 ? params_.d_vocab_out
                                                   : std::max(largest(&Examples::labels) + 1, int64_t{1}),
            .n_ctx = examples_.tokens.size(1),
            .read_out = read_out_,
            .pad_token = params_.pad_token};
  }

  // Only the rule of the split draws from `rng`. There is no grid: a file does not hold every possible input.
  orrery::Split split(torch::Generator rng) const override {
    orrery::Split split;
    if (test_) {
      split.train = batch_of(examples_);
      split.test = batch_of(*test_);
    } else {
      const auto [train, test] = params_.split_rows(examples_.tokens.size(0), rng);
      const orrery::Batch all = batch_of(examples_);
      split.train = all.rows(train);
      split.test = all.rows(test);
    }
    for (const auto& [name, batch] : {std::pair{"training", &split.train}, {"test", &split.test}})
      if (batch->size() > 0 && batch->scored.defined() && !batch->scored.any().item<bool>())
        throw UsageError("no label of the " + std::to_string(batch->size()) + " " + name +
                             " examples is scored: all are -1",
                         "divide the examples otherwise, or give them labels");
    return split;
  }

 private:
  Examples read(const std::string& path) const {
    if (path == "example") {
      if ((params_.d_vocab > 0 && params_.d_vocab < 6) ||
          (params_.d_vocab_out > 0 && params_.d_vocab_out < 5))
        throw UsageError("the example has 6 tokens and 5 classes, more than d_vocab or d_vocab_out",
                         "name a file, or leave out d_vocab and d_vocab_out");
      return sums_mod_5();
    }
    return table::read_examples(
        path, {params_.d_vocab, params_.d_vocab_out},
        params_.contradictions == "keep" ? table::Contradictions::keep : table::Contradictions::refuse);
  }

  // What would divide `file`, when all of it is trained on.
  void refuse_split() const {
    const Params defaults;
    const bool divided = params_.n_train > 0 || params_.split_rule != defaults.split_rule ||
                         params_.split_seed != 0 || !params_.split_file.empty() ||
                         params_.train_fraction != defaults.train_fraction;
    if (divided)
      throw UsageError("test_file is given, so all of \"" + params_.file + "\" is trained on",
                       "leave out train_fraction, n_train and split, or test_file");
  }

  Positions find_read_out() const {
    const int64_t n_ctx = examples_.tokens.size(1), n_labels = examples_.labels.size(1);
    Positions positions = params_.read_out;
    if (!positions.empty()) {
      const bool ascending = std::is_sorted(positions.begin(), positions.end(), std::less_equal<>());
      if (!ascending || positions.back() >= n_ctx)
        throw UsageError(
            "read_out must list positions from 0 to " + std::to_string(n_ctx - 1) +
                ", each once, in ascending order",
            "the examples of \"" + params_.file + "\" have " + std::to_string(n_ctx) + " tokens");
      const auto n_read = static_cast<int64_t>(positions.size());
      if (n_labels != n_read && n_labels != n_ctx)
        throw UsageError("read_out lists " + std::to_string(n_read) + " positions, and an example of \"" +
                             params_.file + "\" has " + std::to_string(n_labels) + " labels",
                         "give a label for each of them, or for each token");
      return positions;
    }
    if (n_labels > n_ctx)
      throw UsageError("an example of \"" + params_.file + "\" has " + std::to_string(n_labels) +
                           " labels, and only " + std::to_string(n_ctx) + " tokens",
                       "give at most one label for each token");
    positions.resize(n_labels);
    std::iota(positions.begin(), positions.end(), n_ctx - n_labels);
    return positions;
  }

  // Of a label for each token, keeps those that are read out.
  void select_labels(Examples& examples) const {
    if (examples.labels.size(1) != static_cast<int64_t>(read_out_.size()))
      examples.labels = examples.labels.index_select(1, torch::tensor(read_out_, torch::kInt64));
  }

  // The largest token or label of both files.
  int64_t largest(torch::Tensor Examples::*part) const {
    const auto here = (examples_.*part).max().item<int64_t>();
    return test_ ? std::max(here, (*test_.*part).max().item<int64_t>()) : here;
  }

  bool masks() const {
    const auto has_unscored = [](const Examples& examples) {
      return (examples.labels < 0).any().item<bool>();
    };
    return has_unscored(examples_) || (test_ && has_unscored(*test_));
  }

  orrery::Batch batch_of(const Examples& examples) const {
    orrery::Batch batch{.tokens = examples.tokens, .labels = examples.labels.clamp_min(0)};
    if (masks()) batch.scored = examples.labels >= 0;
    return batch;
  }

  Params params_;
  Examples examples_;             // to be split, or trained on
  std::optional<Examples> test_;  // where there is a file of them
  Positions read_out_;
};

}  // namespace

ORRERY_TASK(Table, Params, "table", "1.0.0", "Tokens and labels from a file.")
