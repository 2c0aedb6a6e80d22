#include "circuits.h"

#include <orrery/error.h>
#include <orrery/task.h>

#include <cmath>

namespace circuit_competition {
namespace {

using torch::Tensor;

// [n, n_classes] float32.
Tensor one_hot_rows(const Tensor& classes, int64_t n_classes) {
  return torch::zeros({classes.size(0), n_classes}).scatter_(1, classes.unsqueeze(1), 1);
}

// The square as a product: std::pow may round otherwise.
double to_the_q(double x, double q) { return q == 2 ? x * x : std::pow(x, q); }

}  // namespace

void Params::fields(orrery::Fields<Params>& f) {
  f.add("n_classes", &Params::n_classes, "number of classes, at least one for each circuit")
      .between(2, 10000);
  f.add("n_train", &Params::n_train, "training inputs").between(1, 10000);
  f.add("n_test", &Params::n_test, "test inputs").between(1, 10000);
  f.add("gen.P", &Params::gen_P, "parameter norm of C_gen at weight 1; the smaller, the more efficient")
      .at_least(0);
  f.add("gen.w_1", &Params::gen_w_1, "the first factor of C_gen's weight, at step 0");
  f.add("gen.w_2", &Params::gen_w_2, "the second; the smaller, the slower C_gen is learned");
  f.add("mem.P", &Params::mem_P, "parameter norm of C_mem at weight 1").at_least(0);
  f.add("mem.w_1", &Params::mem_w_1, "the first factor of C_mem's weight, at step 0");
  f.add("mem.w_2", &Params::mem_w_2, "the second");
  f.add("more.P", &Params::more_P,
        "parameter norms, at weight 1, of further circuits: `mem_2`, `mem_3`, ... memorise as C_mem does")
      .at_least(0);
  f.add("more.w_1", &Params::more_w_1, "the first factors of their weights, at step 0; as many as `more.P`");
  f.add("more.w_2", &Params::more_w_2, "the second factors; as many as `more.P`");
  f.add("alpha", &Params::alpha,
        "weight decay: alpha times the parameter norms, each to the power q, is minimised too")
      .at_least(0);
  f.add("kappa", &Params::kappa, "a circuit of weight w has parameter norm P w^(1/kappa)").between(0.1, 100);
  f.add("q", &Params::q, "the norm is the L_q norm; 2 is the usual weight decay").between(0.1, 10);
  f.add("table_seed", &Params::table_seed, "seed of the labels and of the wrong answers on the test set")
      .at_least(0);
}

std::vector<Circuit> Params::circuits() const {
  if (more_w_1.size() != more_P.size() || more_w_2.size() != more_P.size())
    throw orrery::UsageError("more.P lists " + std::to_string(more_P.size()) + " circuits, more.w_1 " +
                                 std::to_string(more_w_1.size()) + " and more.w_2 " +
                                 std::to_string(more_w_2.size()),
                             "give every further circuit an entry in each of the three lists");
  std::vector<Circuit> all = {{"gen", gen_P, gen_w_1, gen_w_2}, {"mem", mem_P, mem_w_1, mem_w_2}};
  for (size_t i = 0; i < more_P.size(); ++i)
    all.push_back({"mem_" + std::to_string(i + 2), more_P[i], more_w_1[i], more_w_2[i]});
  if (n_classes < static_cast<int64_t>(all.size()))
    throw orrery::UsageError(std::to_string(all.size()) +
                                 " circuits, and n_classes = " + std::to_string(n_classes) +
                                 ": on the test set each circuit predicts a class of its own",
                             "set n_classes to at least " + std::to_string(all.size()));
  return all;
}

// They belong to the task: independent of the data seed and of the seed of the weights.
std::vector<Tensor> draw_tables(const Params& params) {
  auto rng = orrery::make_generator(static_cast<uint64_t>(params.table_seed));
  const int64_t n_classes = params.n_classes, n_circuits = 2 + static_cast<int64_t>(params.more_P.size());
  const Tensor gen = torch::randint(n_classes, {params.n_train + params.n_test}, rng, torch::kInt64);
  // How far C_mem's class is from the label: never 0.
  const Tensor off = torch::randint(1, n_classes, {params.n_test}, rng, torch::kInt64);
  std::vector<Tensor> tables = {gen};
  for (int64_t i = 0; i < n_circuits - 1; ++i) {
    // The i-th class after C_mem's, the label left out.
    const Tensor own_off = (off - 1 + i).remainder(n_classes - 1) + 1;
    Tensor table = gen.clone();
    table.narrow(0, params.n_train, params.n_test).add_(own_off).remainder_(n_classes);
    tables.push_back(std::move(table));
  }
  return tables;
}

double parameter_norm(const std::vector<double>& weights, const Params& params) {
  const std::vector<Circuit> circuits = params.circuits();
  double total = 0;  // for q = 2 the norm so far, otherwise its q-th power
  for (size_t i = 0; i < weights.size(); ++i) {
    const double norm = std::pow(std::abs(weights[i]), 1 / params.kappa) * circuits[i].P;
    total = params.q == 2 ? std::hypot(total, norm) : total + std::pow(norm, params.q);
  }
  return params.q == 2 ? total : std::pow(total, 1 / params.q);
}

Circuits::Circuits(const Params& params) : alpha_(params.alpha), exponent_(params.q / params.kappa) {
  const std::vector<Tensor> tables = draw_tables(params);
  for (const Circuit& circuit : params.circuits())
    circuits_.push_back({add_weight(circuit.name + ".w_1", torch::tensor(static_cast<float>(circuit.w_1))),
                         add_weight(circuit.name + ".w_2", torch::tensor(static_cast<float>(circuit.w_2))),
                         to_the_q(circuit.P, params.q),
                         one_hot_rows(tables[circuits_.size()], params.n_classes),
                         &add_hook_point("hook_" + circuit.name)});
}

Tensor Circuits::forward(const Tensor& tokens) {
  Tensor logits;
  for (Trained& circuit : circuits_) {
    const Tensor own = (*circuit.hook)(circuit.weight() * rows(circuit, tokens));
    logits = logits.defined() ? logits + own : own;
  }
  return logits;
}

std::unique_ptr<orrery::ReadOutPass> Circuits::fast_read_out(const orrery::ReadOutRequest& request) {
  const Tensor positions = torch::tensor(request.positions, torch::kInt64);
  const Tensor at = request.tokens.index_select(1, positions.to(request.tokens.device()));
  std::vector<Tensor> answers;
  for (Trained& circuit : circuits_) answers.push_back(rows(circuit, at));
  return orrery::make_pass([this, answers] {
    Tensor logits = circuits_[0].weight() * answers[0];
    for (size_t i = 1; i < answers.size(); ++i) logits = logits + circuits_[i].weight() * answers[i];
    return logits;
  });
}

Tensor Circuits::penalty() {
  Tensor total = cost(circuits_[0]);
  for (size_t i = 1; i < circuits_.size(); ++i) total = total + cost(circuits_[i]);
  return alpha_ * total;
}

// The table's answers to tokens [batch, n], as logits [batch, n, n_classes].
Tensor Circuits::rows(Trained& circuit, const Tensor& tokens) {
  if (circuit.table.device() != tokens.device()) circuit.table = circuit.table.to(tokens.device());
  const Tensor flat = circuit.table.index_select(0, tokens.reshape({-1}));
  return flat.view({tokens.size(0), tokens.size(1), -1});
}

// From kappa = q on, |w|^(q/kappa) has a corner or a cusp at w = 0. Its slope counts as 0 there.
Tensor Circuits::cost(const Trained& circuit) const {
  const Tensor size = circuit.weight().abs(), is_off = size == 0;
  return circuit.P_to_q * size.masked_fill(is_off, 1).pow(exponent_).masked_fill(is_off, 0);
}

}  // namespace circuit_competition
