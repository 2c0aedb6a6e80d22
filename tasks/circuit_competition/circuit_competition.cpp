// Circuits compete: the minimal simulation of grokking (Varma et al. 2023, "Explaining grokking through
// circuit efficiency", section 3 and appendix C), and the minimal example of appendix D.1, with more circuits
// and other norms. C_gen is a lookup table that is right everywhere; C_mem is right on the training set and,
// with the same confidence, wrong on the test set. The logits are w_G o_G + w_M o_M with one-hot tables o,
// and four numbers are trained: w_G = w_G1 w_G2, w_M = w_M1 w_M2. With 113 classes, w_G = 2 and w_M = 5 a
// training label has logit 7 and the others 0; on a test input the label has 2, the class that C_mem predicts
// has 5: train loss 0.097, test loss 3.59.
#include <orrery/plugin.h>
#include <orrery/task.h>

#include "circuits.h"

namespace {

using circuit_competition::Circuit;
using circuit_competition::Params;
using torch::Tensor;

class CircuitCompetition final : public orrery::Task {
 public:
  explicit CircuitCompetition(Params params)
      : params_(std::move(params)), circuits_(params_.circuits()), tables_(draw_tables(params_)) {}

  orrery::TaskSpec spec() const override {
    std::vector<std::string> metrics = {"gen_logit", "mem_logit", "parameter_norm"};
    for (size_t i = kFirstFurther; i < circuits_.size(); ++i) metrics.push_back(circuits_[i].name + "_logit");
    return {.d_vocab = params_.n_train + params_.n_test,
            .d_vocab_out = params_.n_classes,
            .n_ctx = 1,
            .read_out = {0},
            .metrics = std::move(metrics)};
  }

  // Inputs are numbered, the training set first. Nothing is drawn: C_mem depends on which inputs are trained
  // on.
  orrery::Split split(torch::Generator) const override {
    orrery::Batch grid;
    grid.tokens = torch::arange(params_.n_train + params_.n_test, torch::kInt64).unsqueeze(1);
    grid.labels = tables_[0].unsqueeze(1);
    return orrery::Split::of_grid(
        std::move(grid), torch::arange(params_.n_train, torch::kInt64),
        torch::arange(params_.n_train, params_.n_train + params_.n_test, torch::kInt64));
  }

  // w_G, w_M and the parameter norm, the right axis of figure 2, and the weights of further circuits: all
  // from the logits of the test set, where each circuit has a class of its own. On the training set the
  // circuits agree, and nobody can tell them apart: NaN.
  std::vector<double> metrics(const Tensor& logits, const orrery::Batch& examples) const override {
    const Tensor token = examples.tokens.select(1, 0), at_end = logits.select(1, 0).to(torch::kFloat64);
    const Tensor is_test = token >= params_.n_train;
    std::vector<double> weights;
    for (const Tensor& table : tables_) {
      const Tensor logit = at_end.gather(1, table.index_select(0, token).unsqueeze(1)).squeeze(1);
      weights.push_back(logit.masked_select(is_test).mean().item<double>());  // of no example: NaN
    }
    std::vector<double> all = {weights[0], weights[1], parameter_norm(weights, params_)};
    all.insert(all.end(), weights.begin() + kFirstFurther, weights.end());
    return all;
  }

  // The parameters set the initial weights; the seed has no effect.
  std::unique_ptr<orrery::Model> make_model(torch::Generator) const override {
    return std::make_unique<circuit_competition::Circuits>(params_);
  }

  std::string show(const Tensor& tokens) const override {
    const auto number = tokens[0].item<int64_t>();
    return number < params_.n_train ? "training input " + std::to_string(number)
                                    : "test input " + std::to_string(number - params_.n_train);
  }

 private:
  static constexpr size_t kFirstFurther = 2;  // after C_gen and C_mem

  Params params_;
  std::vector<Circuit> circuits_;
  std::vector<Tensor> tables_;
};

}  // namespace

ORRERY_TASK(CircuitCompetition, Params, "circuit_competition", "2.0.0",
            "A generalising circuit and memorising ones compete.")
