// Is there a direction in the residual stream that tells whether a carry comes into a digit, and when does it
// settle? At each checkpoint the direction is the mean of the last residual stream over digits with a carry
// less that over digits without one (a difference of means: Marks & Tegmark 2023, arXiv 2310.06824).
// Projected on it and cut halfway, the stream predicts the carry: with streams -1, -1 without and 3, 3 with a
// carry the cut is at 1 and all four are right. Once all checkpoints are measured, the probe compares their
// directions with the last one: the cosine is 1 from where the direction has stopped turning.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

namespace {

struct Params {
  double found = 0.9;
  double settled = 0.9;

  static void fields(orrery::Fields<Params>& f) {
    f.add("found", &Params::found, "share of carries predicted from which the direction counts as found")
        .between(0, 1);
    f.add("settled", &Params::settled, "cosine with the last direction from which it counts as settled")
        .between(-1, 1);
  }
};

class CarryDirection final : public orrery::Probe {
 public:
  explicit CarryDirection(Params params) : params_(params) {}

  // The tensors and findings are its own, which it records below.
  orrery::Needs needs() const override {
    return {.inputs = orrery::Inputs::test,
            .activations = {"blocks.*.hook_resid_post"},
            .tensors = {"direction"},
            .findings = {"carry"},
            .auxiliary = {"carry"}};
  }

  void measure(const orrery::Observation& seen, orrery::Recorder& recorder) override {
    const auto stream = last_stream(seen).to(torch::kFloat64).flatten(0, 1);  // [digits, d_model]
    const auto carry = seen.inputs.auxiliary.at("carry").flatten().to(torch::kBool);
    const auto with = stream.index({carry}).mean(0), without = stream.index({carry.logical_not()}).mean(0);
    const auto direction = with - without;
    const auto predicted = (stream - (with + without) / 2).matmul(direction) > 0;
    const double share = (predicted == carry).to(torch::kFloat64).mean().item<double>();
    recorder.headline("predicted", share);
    recorder.tensor("direction", direction);
    if (share >= params_.found) recorder.finding({"carry", "direction_found", {{"share", share}}});
  }

  // A run of hundreds of checkpoints has hundreds of directions: at() reads one at a time.
  void conclude(const orrery::History& history, orrery::Recorder& recorder) override {
    const orrery::TensorSeries& directions = history.tensor("direction");
    const auto last = directions.at(directions.steps.back());
    std::vector<double> cosines;
    for (const int64_t step : directions.steps)
      cosines.push_back(torch::cosine_similarity(directions.at(step), last, 0).item<double>());
    size_t settled = cosines.size();
    while (settled > 0 && cosines[settled - 1] >= params_.settled) --settled;
    if (settled < cosines.size())
      recorder.headline("settled/step", static_cast<double>(directions.steps[settled]));
    const orrery::FindingSeries found = history.finding("carry");  // empty if it never was
    if (!found.steps.empty()) recorder.headline("found/step", static_cast<double>(found.steps.front()));
    recorder.figure(orrery::Figure::line("turning", "How far the carry's direction is from the last one",
                                         {"step", {}, torch::tensor(directions.steps, torch::kInt64)},
                                         "cosine with the last direction",
                                         {{"carry", torch::tensor(cosines, torch::kFloat64)}}));
  }

 private:
  static torch::Tensor last_stream(const orrery::Observation& seen) {
    int64_t layer = 0;
    const auto hook = [](int64_t i) { return "blocks." + std::to_string(i) + ".hook_resid_post"; };
    while (seen.cache.contains(hook(layer + 1))) ++layer;
    return seen.cache[hook(layer)];
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(CarryDirection, Params, "carry_direction", "1.0.0",
             "The direction that tells a carry, and when.")
