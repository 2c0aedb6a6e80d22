// The circuits that compete: look-up tables, each scaled by a trained weight, with a penalty on their norms.
#pragma once

#include <orrery/fields.h>
#include <orrery/model.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace circuit_competition {

/// One circuit: its cost and its initial weights.
struct Circuit {
  std::string name;
  double P = 1;
  double w_1 = 0, w_2 = 1;
};

struct Params {
  int64_t n_classes = 113;
  int64_t n_train = 32;
  int64_t n_test = 32;
  double gen_P = 1, gen_w_1 = 0, gen_w_2 = 0.005;
  double mem_P = 2, mem_w_1 = 0, mem_w_2 = 1;
  std::vector<double> more_P, more_w_1, more_w_2;
  double alpha = 0.005;
  double kappa = 1.2;
  double q = 2;
  int64_t table_seed = 0;

  static void fields(orrery::Fields<Params>& f);

  /// C_gen, C_mem and the further ones, "mem_2", "mem_3", ... Throws orrery::UsageError if the lists of the
  /// latter differ in length, or if there are fewer classes than circuits.
  std::vector<Circuit> circuits() const;
};

/// What each circuit predicts, in the order of Params::circuits(): int64 [n_train + n_test] each, training
/// inputs first. C_gen's are the labels. On a test input no two circuits predict the same class.
std::vector<torch::Tensor> draw_tables(const Params& params);

/// P' = |w|^(1/kappa) P of each circuit, put together as parts of one vector: its L_q norm.
double parameter_norm(const std::vector<double>& weights, const Params& params);

/// The logits are sum_i w_i o_i with one-hot tables o_i and w_i = w_i1 w_i2.
class Circuits final : public orrery::Model {
 public:
  explicit Circuits(const Params& params);

  torch::Tensor forward(const torch::Tensor& tokens) override;
  std::unique_ptr<orrery::ReadOutPass> fast_read_out(const orrery::ReadOutRequest& request) override;

  /// alpha sum_i (w_i^(1/kappa) P_i)^q. For w < 0 it is that of |w|.
  torch::Tensor penalty() override;

 private:
  struct Trained {
    torch::Tensor w_1, w_2;  // scalars
    double P_to_q = 1;
    torch::Tensor table;  // [n_train + n_test, n_classes]
    const orrery::HookPoint* hook = nullptr;
    torch::Tensor weight() const { return w_1 * w_2; }
  };

  static torch::Tensor rows(Trained& circuit, const torch::Tensor& tokens);
  torch::Tensor cost(const Trained& circuit) const;

  double alpha_, exponent_;
  std::vector<Trained> circuits_;
};

}  // namespace circuit_competition
