// Cross-entropy, right in everything but what `fault` names. Without one it passes every check.
#include <orrery/error.h>
#include <orrery/loss.h>
#include <orrery/plugin.h>
#include <unistd.h>

namespace {

using torch::Tensor;

struct Params {
  std::string fault;
  static void fields(orrery::Fields<Params>& f) {
    f.add("fault", &Params::fault, "what it is wrong in; empty: nothing");
  }
};

class LyingLoss final : public orrery::LossFunction {
 public:
  explicit LyingLoss(Params params) : params_(std::move(params)) {
    if (is("create")) throw orrery::UsageError("asked to fail", "do not ask");
  }

  std::string refusal(const orrery::TaskSpec& spec) const override {
    if (is("refuses_all")) return "it is tired";
    return spec.d_vocab_out < 2 ? "it needs two classes or more" : "";
  }

  Tensor each(const Tensor& logits, const orrery::Batch& batch) const override {
    if (is("exits")) ::_exit(0);
    if (is("throws")) throw orrery::Error("the table is worn out", "make another");
    if (is("writes_into_logits")) Tensor(logits).mul_(2);
    write_into(batch, "writes_into_");
    const Tensor at = batch.labels.unsqueeze(-1);
    Tensor log_p = torch::log_softmax(logits, -1);
    if (is("overflows")) log_p = logits.exp().div(logits.exp().sum(-1, true)).log();
    Tensor each = -log_p.gather(-1, at).squeeze(-1);
    if (is("part_is_detached")) each = each * each.detach();
    if (is("detached")) each = each.detach();
    if (is("sums")) each = each.sum();
    if (is("another_dtype")) each = each.to(torch::kFloat16);
    if (is("remembers")) each = each * slope(logits);
    return each;
  }

  Tensor reduce(const Tensor& each, const orrery::Batch& batch) const override {
    write_into(batch, "reduces_into_");
    if (is("ignores_the_mask")) return each.mean();
    if (is("gives_a_vector")) return each.mean(0);
    if (is("reduces_to_a_number")) return torch::tensor(each.mean().item<double>(), torch::kFloat64);
    return orrery::mean_over_labels(each, batch);
  }

 private:
  bool is(const std::string& fault) const { return params_.fault == fault; }
  void write_into(const orrery::Batch& batch, const std::string& prefix) const {
    for (const auto& [name, tensor] : batch.tensors())
      if (is(prefix + name)) Tensor(tensor).zero_();
  }
  // 1 until it has seen logits above 5.
  double slope(const Tensor& logits) const {
    seen_large_ = seen_large_ || logits.max().item<double>() > 5;
    return seen_large_ ? 2 : 1;
  }

  Params params_;
  mutable bool seen_large_ = false;
};

}  // namespace

ORRERY_LOSS(LyingLoss, Params, "lying_loss", "1.0.0", "Cross-entropy, with a fault.")
