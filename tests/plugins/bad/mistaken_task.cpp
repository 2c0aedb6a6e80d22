// Parity of two bits, with the mistake it is told to make.
#include <orrery/plugin.h>
#include <orrery/task.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace {

struct Params {
  std::string mistake;
  bool endless = false;
  std::string loss = "cross_entropy";
  static void fields(orrery::Fields<Params>& f) {
    f.add("mistake", &Params::mistake, "what is wrong")
        .one_of({"",
                 "labels_shape",
                 "labels_dtype",
                 "labels_undefined",
                 "label_range",
                 "token_range",
                 "read_out",
                 "sample_range",
                 "sample_size",
                 "metric_name",
                 "metrics_count",
                 "metrics_throw",
                 "metrics_crash",
                 "metrics_write",
                 "auxiliary_missing",
                 "auxiliary_dtype",
                 "auxiliary_shape",
                 "auxiliary_unnamed",
                 "weight_of_zero",
                 "smoothed_hinge",
                 "no_weights",
                 "logits_shape",
                 "detached",
                 "other_read_out",
                 "torch",
                 "crash",
                 "exits",
                 "exits_at_once",
                 "exits_quickly",
                 "forward_throws",
                 "forward_crashes",
                 "pass_throws",
                 "penalty_throws",
                 "penalty_crashes",
                 "destructor_crashes"});
    f.add("endless", &Params::endless, "whether examples are drawn without end");
    f.add("loss", &Params::loss, "what it is trained on; all but the first with weights")
        .one_of({"cross_entropy", "smoothed", "hinge", "logistic", "mse_one_hot"});
  }
};

// Logits are a row of a table, by the first token.
class Table final : public orrery::Model {
 public:
  explicit Table(std::string mistake) : mistake_(std::move(mistake)) {
    if (mistake_ != "no_weights") table_ = add_weight("table", torch::ones({2, 2}));
  }
  ~Table() override {
    if (mistake_ == "destructor_crashes" && calls_ > some_calls) __builtin_trap();
  }
  torch::Tensor forward(const torch::Tensor& tokens) override {
    wear_out("forward_throws", "forward_crashes");
    const torch::Tensor logits = table_.index_select(0, tokens.select(1, 0));
    if (mistake_ == "torch") return torch::ones({2, 3}).matmul(torch::ones({2, 3}));
    if (mistake_ == "logits_shape") return logits;
    const torch::Tensor all = logits.unsqueeze(1).expand({-1, 2, -1});
    return mistake_ == "detached" ? all.detach() : all;
  }
  std::unique_ptr<orrery::ReadOutPass> fast_read_out(const orrery::ReadOutRequest& request) override {
    if (mistake_ == "pass_throws")
      return orrery::make_pass([this, tokens = request.tokens] {
        wear_out("pass_throws", "");
        return forward(tokens).narrow(1, 1, 1);
      });
    if (mistake_ != "other_read_out") return nullptr;
    return orrery::make_pass([this, tokens = request.tokens] { return 2 * forward(tokens).narrow(1, 0, 1); });
  }

  torch::Tensor penalty() override {
    wear_out("penalty_throws", "penalty_crashes");
    return {};
  }

 private:
  // Well for some calls, so that the training has begun.
  void wear_out(const char* throws, const char* crashes) {
    if (++calls_ <= some_calls) return;
    if (mistake_ == throws) throw std::runtime_error("the table is worn out");
    if (mistake_ == crashes) __builtin_trap();
  }

  static constexpr int some_calls = 30;
  int calls_ = 0;
  std::string mistake_;
  torch::Tensor table_;
};

class MistakenTask final : public orrery::Task {
 public:
  explicit MistakenTask(Params params) : params_(std::move(params)) {}

  orrery::TaskSpec spec() const override {
    orrery::TaskSpec spec{.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 2, .read_out = {1}};
    if (is("read_out")) spec.read_out = {2};
    spec.metrics = {"mean_logit", is("metric_name") ? "loss/mine" : "ones"};
    spec.auxiliary = {"a"};
    if (params_.loss == "smoothed" || is("smoothed_hinge")) spec.label_smoothing = 0.1;
    if (params_.loss == "hinge" || is("smoothed_hinge")) spec.loss = orrery::Loss::hinge;
    if (params_.loss == "logistic") spec.loss = orrery::Loss::logistic;
    if (params_.loss == "mse_one_hot") spec.loss = orrery::Loss::mse_one_hot;
    if (has_one_logit(spec.loss)) spec.d_vocab_out = 1;
    spec.endless = params_.endless;
    return spec;
  }
  orrery::Split split(torch::Generator) const override {
    if (is("crash")) __builtin_trap();
    if (is("exits")) std::exit(0);
    orrery::Batch all = examples(8);
    if (is("labels_shape")) all.labels = all.labels.squeeze(1);
    if (is("labels_dtype")) all.labels = all.labels.to(torch::kInt32);
    if (is("labels_undefined")) all.labels = torch::Tensor();
    if (is("label_range")) all.labels = all.labels + 1;
    if (is("token_range")) all.tokens = all.tokens + 1;
    if (is("auxiliary_missing")) all.auxiliary.clear();
    if (is("auxiliary_dtype")) all.auxiliary["a"] = all.auxiliary["a"].to(torch::kFloat32);
    if (is("auxiliary_shape")) all.auxiliary["a"] = torch::zeros({8, 3}, torch::kInt64);
    if (is("auxiliary_unnamed")) all.auxiliary["b"] = all.auxiliary["a"];
    if (is("weight_of_zero")) all.weights = torch::zeros({8});
    return {.train = all, .test = all};
  }
  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator) const override {
    if (is("exits_quickly")) std::quick_exit(0);
    orrery::Batch batch = examples(is("sample_size") ? batch_size + 1 : batch_size);
    if (is("sample_range")) batch.labels = batch.labels - 1;
    return batch;
  }
  std::vector<double> metrics(const torch::Tensor& logits, const orrery::Batch& examples) const override {
    if (is("exits_at_once")) ::_exit(0);
    if (is("metrics_count")) return {1};
    if (is("metrics_throw")) throw std::runtime_error("division by nothing");
    if (is("metrics_crash")) __builtin_trap();
    if (is("metrics_write")) examples.labels.zero_();
    const auto ones = examples.auxiliary.at("a") == 1;
    return {logits.mean().item<double>(), ones.to(torch::kFloat64).mean().item<double>()};
  }
  std::unique_ptr<orrery::Model> make_model(torch::Generator) const override {
    return std::make_unique<Table>(params_.mistake);
  }

 private:
  bool is(const std::string& mistake) const { return params_.mistake == mistake; }

  orrery::Batch examples(int64_t n) const {
    const auto i = torch::arange(n, torch::kInt64), a = i.remainder(2), b = i.div(2, "floor").remainder(2);
    return {.tokens = torch::stack({a, b}, 1),
            .labels = (a + b).remainder(2).unsqueeze(1),
            .weights = params_.loss == "cross_entropy" ? torch::Tensor() : 1 + a.to(torch::kFloat32),
            .auxiliary = {{"a", a}}};
  }

  Params params_;
};

}  // namespace

ORRERY_TASK(MistakenTask, Params, "mistaken_task", "0.2.0", "Parity of two bits, or not.")
