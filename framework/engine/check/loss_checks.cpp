// Checks that a loss is one: a number for each label, with the gradient that belongs to it.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <cmath>

#include "engine/check/bitwise.h"
#include "engine/check/training_checks.h"

namespace orrery::engine::checks {
namespace {

// Logits and labels of a made-up task: five classes, or one logit, at two output positions.
struct LabelledLogits {
  TaskSpec spec;
  torch::Tensor logits;  // [6, 2, 5 or 1] float64
  Batch batch;
};

LabelledLogits labelled_logits(bool one_logit) {
  const int64_t n = 6, n_read = 2, n_out = one_logit ? 1 : 5;
  const torch::Generator rng = make_generator(1);
  LabelledLogits made;
  made.spec = {.d_vocab = 7, .d_vocab_out = n_out, .n_ctx = 3, .read_out = {1, 2}};
  if (one_logit) made.spec.loss = Loss::logistic;
  made.logits = torch::randn({n, n_read, n_out}, rng, torch::kFloat64);
  made.batch.tokens = torch::randint(7, {n, 3}, rng, torch::kInt64);
  made.batch.labels = torch::randint(one_logit ? 2 : n_out, {n, n_read}, rng, torch::kInt64);
  return made;
}

class LossUnderCheck {
 public:
  LossUnderCheck(SourceOf<LossFunction> source, Note note)
      : source_(std::move(source)), note_(std::move(note)) {}

  std::unique_ptr<LossFunction> make() const { return source_.make(); }
  void note(const std::string& what) const { note_(what); }
  /// The shapes that the loss accepts.
  std::vector<LabelledLogits> cases() const {
    std::vector<LabelledLogits> all;
    for (const bool one_logit : {false, true})
      if (LabelledLogits made = labelled_logits(one_logit); make()->refusal(made.spec).empty())
        all.push_back(std::move(made));
    return all;
  }

 private:
  SourceOf<LossFunction> source_;
  Note note_;
};

double total(const LossFunction& loss, const torch::Tensor& logits, const Batch& batch) {
  return loss.reduce(loss.each(logits, batch), batch).item<double>();
}

torch::Tensor gradient(const LossFunction& loss, const torch::Tensor& at, const Batch& batch) {
  const torch::Tensor logits = at.clone().requires_grad_();
  loss.reduce(loss.each(logits, batch), batch).backward();
  return logits.grad().defined() ? logits.grad() : torch::zeros_like(at);
}

Result gives_a_loss(const LossUnderCheck& check) {
  const auto cases = check.cases();
  if (cases.empty()) return failed("it refuses every task: five classes, and one logit", "correct refusal()");
  for (const LabelledLogits& given : cases)
    for (const torch::Dtype dtype : {torch::kFloat64, torch::kFloat32}) {
      check.note(fmt::format("each, {} logits", toString(dtype)));
      // As in training, where logits are no leaves of the autograd graph.
      const torch::Tensor logits = given.logits.to(dtype).requires_grad_() * 1;
      const double value = total(*check.make(), logits, given.batch);
      if (!std::isfinite(value))
        return failed(fmt::format("the loss of ordinary logits is {}", value),
                      "look for logarithms of 0 and divisions by 0");
    }
  return ok(counted(static_cast<int64_t>(cases.size()), "shape"));
}

Result gradients_belong_to_it(const LossUnderCheck& check) {
  constexpr double h = 1e-6;
  for (const LabelledLogits& given : check.cases()) {
    check.note("gradient");
    const auto loss = check.make();
    const torch::Tensor analytic = gradient(*loss, given.logits, given.batch).reshape({-1});
    for (int64_t i = 0; i < analytic.numel(); ++i) {
      torch::Tensor up = given.logits.clone(), down = given.logits.clone();
      up.view({-1})[i] += h;
      down.view({-1})[i] -= h;
      const double numeric = (total(*loss, up, given.batch) - total(*loss, down, given.batch)) / (2 * h);
      const double own = analytic[i].item<double>();
      if (std::abs(own - numeric) > 1e-5 * (1 + std::abs(numeric)))
        return failed(
            fmt::format("its gradient in a logit is {:.6g}, and the loss itself rises by {:.6g} for 1", own,
                        numeric),
            "no part of the loss may be detached from the logits");
    }
  }
  return ok("against differences of the loss");
}

Result masked_labels_do_not_count(const LossUnderCheck& check) {
  for (LabelledLogits given : check.cases()) {
    given.batch.scored = torch::ones({6, 2}, torch::kBool);
    given.batch.scored[2][1] = false;
    given.batch.scored[5][0] = false;
    check.note("loss mask");
    const torch::Tensor slope = gradient(*check.make(), given.logits, given.batch);
    if (slope[2][1].any().item<bool>() || slope[5][0].any().item<bool>())
      return failed("labels outside of the loss mask (batch.scored) have a gradient",
                    "end reduce() with mean_over_labels(), or mask each() as it does");
  }
  return ok();
}

Result finite_far_out(const LossUnderCheck& check) {
  for (const LabelledLogits& given : check.cases())
    for (const double scale : {1e-30, 1e2, 1e4}) {
      check.note(fmt::format("logits times {}", scale));
      const auto loss = check.make();
      const torch::Tensor logits = given.logits * scale;
      const double value = total(*loss, logits, given.batch);
      if (!std::isfinite(value) || !gradient(*loss, logits, given.batch).isfinite().all().item<bool>())
        return failed(
            fmt::format("at logits around {:g} the loss is {:g}, or its gradient is not finite", scale,
                        value),
            "take logarithms of exponentials by logsumexp or log_softmax, and keep divisions off 0");
    }
  return ok("at logits up to 10,000");
}

Result same_bits_again(const LossUnderCheck& check) {
  for (const LabelledLogits& given : check.cases()) {
    check.note("twice");
    const auto loss = check.make(), other = check.make();
    seed_global_generator();
    const torch::Tensor first = loss->each(given.logits, given.batch);
    loss->each(given.logits * 2, given.batch);  // what a call remembers of another must not matter
    if (!same(first, loss->each(given.logits, given.batch)) ||
        !same(first, other->each(given.logits, given.batch)))
      return failed("the same logits and labels give another loss the second time",
                    "keep nothing between calls, and draw nothing at random");
  }
  return ok();
}

}  // namespace

std::vector<Check> loss_checks(SourceOf<LossFunction> source, const Note& note) {
  const auto under_check = std::make_shared<LossUnderCheck>(std::move(source), note);
  const auto with = [under_check](Result (*check)(const LossUnderCheck&)) {
    return [under_check, check] { return check(*under_check); };
  };
  return {{loss_works, {}, with(gives_a_loss)},
          {"its gradient is that of the loss", {loss_works}, with(gradients_belong_to_it)},
          {"labels outside of the loss mask do not count", {loss_works}, with(masked_labels_do_not_count)},
          {"finite far out", {loss_works}, with(finite_far_out)},
          {"same arguments, same bits", {loss_works}, with(same_bits_again)}};
}

}  // namespace orrery::engine::checks
