// Two circuits compete: the minimal simulation of grokking (Varma et al. 2023, "Explaining grokking through
// circuit efficiency", section 3 and appendix C). C_gen is a lookup table that is right everywhere; C_mem is
// right on the training set and, with the same confidence, wrong on the test set. The logits are w_G o_G +
// w_M o_M with one-hot tables o, and four numbers are trained: w_G = w_G1 w_G2, w_M = w_M1 w_M2. With q =
// 113, w_G = 2 and w_M = 5 a training label has logit 7 and the others 0; on a test input the label has 2,
// the class that C_mem predicts has 5: train loss 0.097, test loss 3.59.
#include <orrery/plugin.h>
#include <orrery/task.h>

#include <cmath>

namespace {

using torch::Tensor;

/// One circuit: its cost and its initial weights.
struct Circuit {
  double P = 1;
  double w_1 = 0, w_2 = 1;
};

struct Params {
  int64_t n_classes = 113;
  int64_t n_train = 32;
  int64_t n_test = 32;
  double gen_P = 1, gen_w_1 = 0, gen_w_2 = 0.005;
  double mem_P = 2, mem_w_1 = 0, mem_w_2 = 1;
  double alpha = 0.005;
  double kappa = 1.2;
  int64_t table_seed = 0;

  static void fields(orrery::Fields<Params>& f) {
    f.add("n_classes", &Params::n_classes, "number of classes q").between(2, 10000);
    f.add("n_train", &Params::n_train, "training inputs").between(1, 10000);
    f.add("n_test", &Params::n_test, "test inputs").between(1, 10000);
    f.add("gen.P", &Params::gen_P, "parameter norm of C_gen at weight 1; the smaller, the more efficient")
        .at_least(0);
    f.add("gen.w_1", &Params::gen_w_1, "the first factor of C_gen's weight, at step 0");
    f.add("gen.w_2", &Params::gen_w_2, "the second; the smaller, the slower C_gen is learned");
    f.add("mem.P", &Params::mem_P, "parameter norm of C_mem at weight 1").at_least(0);
    f.add("mem.w_1", &Params::mem_w_1, "the first factor of C_mem's weight, at step 0");
    f.add("mem.w_2", &Params::mem_w_2, "the second");
    f.add("alpha", &Params::alpha, "weight decay: alpha times the squared parameter norms is minimised too")
        .at_least(0);
    f.add("kappa", &Params::kappa, "a circuit of weight w has parameter norm P w^(1/kappa)")
        .between(0.1, 100);
    f.add("table_seed", &Params::table_seed, "seed of the labels and of what C_mem says on the test set")
        .at_least(0);
  }

  Circuit gen() const { return {gen_P, gen_w_1, gen_w_2}; }
  Circuit mem() const { return {mem_P, mem_w_1, mem_w_2}; }
};

/// The predictions of the circuits: int64 [n_train + n_test] each, training inputs first.
struct Tables {
  Tensor gen, mem;
};

// They belong to the task: independent of the data seed and of the seed of the weights.
Tables draw_tables(const Params& params) {
  auto rng = orrery::make_generator(static_cast<uint64_t>(params.table_seed));
  const int64_t q = params.n_classes;
  const Tensor gen = torch::randint(q, {params.n_train + params.n_test}, rng, torch::kInt64);
  const Tensor off = torch::randint(1, q, {params.n_test}, rng, torch::kInt64);  // never 0: never the label
  Tensor mem = gen.clone();
  mem.narrow(0, params.n_train, params.n_test).add_(off).remainder_(q);
  return {gen, mem};
}

// [n, n_classes] float32.
Tensor one_hot_rows(const Tensor& classes, int64_t n_classes) {
  return torch::zeros({classes.size(0), n_classes}).scatter_(1, classes.unsqueeze(1), 1);
}

class TwoCircuits final : public orrery::Model {
 public:
  explicit TwoCircuits(const Params& params) : alpha_(params.alpha), exponent_(2 / params.kappa) {
    const Tables tables = draw_tables(params);
    gen_ = add_circuit("gen", params.gen(), one_hot_rows(tables.gen, params.n_classes));
    mem_ = add_circuit("mem", params.mem(), one_hot_rows(tables.mem, params.n_classes));
  }

  Tensor forward(const Tensor& tokens) override {
    return (*gen_.hook)(gen_.weight() * rows(gen_, tokens)) +
           (*mem_.hook)(mem_.weight() * rows(mem_, tokens));
  }

  std::unique_ptr<orrery::ReadOutPass> fast_read_out(const orrery::ReadOutRequest& request) override {
    const Tensor positions = torch::tensor(request.positions, torch::kInt64);
    const Tensor at = request.tokens.index_select(1, positions.to(request.tokens.device()));
    return orrery::make_pass([this, gen = rows(gen_, at), mem = rows(mem_, at)] {
      return gen_.weight() * gen + mem_.weight() * mem;
    });
  }

  // alpha sum_i (w_i^(1/kappa) P_i)^2. For w < 0 it is that of |w|.
  Tensor penalty() override { return alpha_ * (cost(gen_) + cost(mem_)); }

 private:
  struct Trained {
    Tensor w_1, w_2;  // scalars
    double P = 1;
    Tensor table;  // [n_train + n_test, n_classes]
    const orrery::HookPoint* hook = nullptr;
    Tensor weight() const { return w_1 * w_2; }
  };

  Trained add_circuit(const std::string& name, const Circuit& circuit, Tensor table) {
    return {add_weight(name + ".w_1", torch::tensor(static_cast<float>(circuit.w_1))),
            add_weight(name + ".w_2", torch::tensor(static_cast<float>(circuit.w_2))), circuit.P,
            std::move(table), &add_hook_point("hook_" + name)};
  }

  // The table's answers to tokens [batch, n], as logits [batch, n, n_classes].
  static Tensor rows(Trained& circuit, const Tensor& tokens) {
    if (circuit.table.device() != tokens.device()) circuit.table = circuit.table.to(tokens.device());
    const Tensor flat = circuit.table.index_select(0, tokens.reshape({-1}));
    return flat.view({tokens.size(0), tokens.size(1), -1});
  }

  // From kappa = 2 on, |w|^(2/kappa) has a corner or a cusp at w = 0. Its slope counts as 0 there.
  Tensor cost(const Trained& circuit) const {
    const Tensor size = circuit.weight().abs(), is_off = size == 0;
    return circuit.P * circuit.P * size.masked_fill(is_off, 1).pow(exponent_).masked_fill(is_off, 0);
  }

  double alpha_, exponent_;
  Trained gen_, mem_;
};

class CircuitCompetition final : public orrery::Task {
 public:
  explicit CircuitCompetition(Params params) : params_(std::move(params)), tables_(draw_tables(params_)) {}

  orrery::TaskSpec spec() const override {
    return {.d_vocab = params_.n_train + params_.n_test,
            .d_vocab_out = params_.n_classes,
            .n_ctx = 1,
            .read_out = {0},
            .metrics = {"gen_logit", "mem_logit", "parameter_norm"}};
  }

  // Inputs are numbered, the training set first. Nothing is drawn: C_mem depends on which inputs are trained
  // on.
  orrery::Split split(torch::Generator) const override {
    orrery::Batch grid;
    grid.tokens = torch::arange(params_.n_train + params_.n_test, torch::kInt64).unsqueeze(1);
    grid.labels = tables_.gen.unsqueeze(1);
    return orrery::Split::of_grid(
        std::move(grid), torch::arange(params_.n_train, torch::kInt64),
        torch::arange(params_.n_train, params_.n_train + params_.n_test, torch::kInt64));
  }

  // w_G, w_M and P' = sqrt(P'_G^2 + P'_M^2), the right axis of figure 2, from the logits of the test set. On
  // the training set the circuits agree, and nobody can tell them apart: NaN.
  std::vector<double> metrics(const Tensor& logits, const orrery::Batch& examples) const override {
    const Tensor token = examples.tokens.select(1, 0);
    const Tensor gen = tables_.gen.index_select(0, token), mem = tables_.mem.index_select(0, token);
    const auto weight = [&](const Tensor& answer) {
      const Tensor logit = logits.select(1, 0).to(torch::kFloat64).gather(1, answer.unsqueeze(1)).squeeze(1);
      return logit.masked_select(gen != mem).mean().item<double>();  // of no example: NaN
    };
    const double w_gen = weight(gen), w_mem = weight(mem);
    return {w_gen, w_mem, std::hypot(norm(w_gen, params_.gen_P), norm(w_mem, params_.mem_P))};
  }

  // The parameters set the initial weights; the seed has no effect.
  std::unique_ptr<orrery::Model> make_model(torch::Generator) const override {
    return std::make_unique<TwoCircuits>(params_);
  }

  std::string show(const Tensor& tokens) const override {
    const auto number = tokens[0].item<int64_t>();
    return number < params_.n_train ? "training input " + std::to_string(number)
                                    : "test input " + std::to_string(number - params_.n_train);
  }

 private:
  // P' of appendix C.
  double norm(double weight, double P) const { return std::pow(std::abs(weight), 1 / params_.kappa) * P; }

  Params params_;
  Tables tables_;
};

}  // namespace

ORRERY_TASK(CircuitCompetition, Params, "circuit_competition", "2.0.0",
            "A generalising and a memorising circuit compete.")
