// The mean logit, right in everything but what `fault` names. Without one it passes every check.
#include <orrery/error.h>
#include <orrery/findings.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <cstdlib>

namespace {

struct Params {
  std::string fault;
  static void fields(orrery::Fields<Params>& f) {
    f.add("fault", &Params::fault, "what it is wrong in; empty: nothing");
  }
};

class LyingProbe final : public orrery::Probe {
 public:
  explicit LyingProbe(Params params) : params_(std::move(params)) {}

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.inputs = orrery::Inputs::train;
    needs.activations = {"hook_embed"};
    if (is("declared_weight")) needs.weights = {"unembed.W_U"};
    needs.curves = {"train/loss", "test/loss*"};
    if (is("own_records") || is("reads_a_step_that_is_not_there")) {
      needs.tensors = {"logits"};
      needs.findings = {"sign"};
    }
    if (is("tensor_that_is_not_recorded")) needs.tensors = {"logit"};
    if (is("declared_auxiliary")) needs.auxiliary = {"parity"};
    return needs;
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    if (is("crash")) std::abort();
    if (is("fails")) throw orrery::Error("no circuit", "train longer");
    recorder.headline("mean_logit", observation.logits.mean().item<double>());
    recorder.tensor("logits", observation.logits.mean(0));
    recorder.finding({"sign", "sign", {{"positive", observation.logits.mean().item<double>() > 0}}});
    read_more(observation, recorder);
    remember(observation, recorder);
    record_more(observation, recorder);
    write(observation);
  }

  void conclude(const orrery::History& history, orrery::Recorder& recorder) override {
    for (const orrery::TensorSeries& series : history.tensors)
      recorder.scalar(
          series.name,
          series.at(is("reads_a_step_that_is_not_there") ? 7 : series.steps.back()).sum().item<double>());
    for (const orrery::FindingSeries& series : history.findings)
      recorder.scalar(series.name, static_cast<double>(series.steps.size()));
    for (const orrery::Curve& curve : history.curves)
      recorder.scalar(curve.name + "/second", is("needs_two_rows")      ? curve.values.at(1)
                                              : curve.values.size() > 1 ? curve.values[1]
                                                                        : 0);
  }

 private:
  bool is(const std::string& fault) const { return params_.fault == fault; }

  void read_more(const orrery::Observation& observation, orrery::Recorder& recorder) const {
    if (is("undeclared_weight") || is("declared_weight"))
      recorder.scalar("W_U", observation.weight("unembed.W_U").norm().item<double>());
    if (is("undeclared_auxiliary") || is("declared_auxiliary"))
      recorder.scalar("odd", observation.inputs.auxiliary.at("parity").sum().item<double>());
    if (is("undeclared_activation"))
      recorder.scalar("post", observation.cache["blocks.0.mlp.hook_post"].mean().item<double>());
    if (is("undeclared_grid"))
      recorder.scalar("grid", static_cast<double>(observation.split.grid.value().size()));
    if (is("undeclared_structure"))
      recorder.scalar("order", static_cast<double>(observation.structure.cyclic.value().order));
    if (is("looks_at_its_neighbours"))
      recorder.scalar("seen", static_cast<double>(observation.cache.names().size()));
  }

  void remember(const orrery::Observation& observation, orrery::Recorder& recorder) {
    if (is("counter")) recorder.scalar("calls", static_cast<double>(++calls_));
    if (first_step_ < 0) first_step_ = observation.step;
    if (is("remembers_the_first_checkpoint")) recorder.scalar("since", static_cast<double>(first_step_));
    if (is("moving_names") && observation.step > 0) recorder.scalar("later", 1);
    if (is("found_things") && observation.step > 0) recorder.scalar("found/k=3", 1);
  }

  void record_more(const orrery::Observation&, orrery::Recorder& recorder) const {
    const auto x = torch::arange(4);
    if (is("ragged_figure"))
      recorder.figure(
          {"curve", orrery::Figure::Kind::line, "A curve", "x", "y", {{"a", x, torch::arange(3), {}}}});
    if (is("figure_without_labels"))
      recorder.figure({"curve", orrery::Figure::Kind::line, "", "", "", {{"a", x, x, {}}}});
    if (is("finding_of_its_own_kind")) recorder.finding({"head", "head_role", {{"layer", int64_t{0}}}});
    if (is("bad_name")) recorder.scalar("/loss", 1);
  }

  void write(const orrery::Observation& observation) {
    if (is("writes_to_the_model")) observation.model.weights().front().value.detach().add_(1);
    if (is("leaves_a_hook"))
      new orrery::HookScope(observation.model,
                            {{"hook_embed", [](const torch::Tensor& embed) { return embed * 2; }}});
    if (is("writes_into_the_cache")) observation.cache["hook_embed"].mul_(2);
    if (is("writes_into_the_data")) observation.split.test.labels.zero_();
    if (is("seeds_libtorch")) torch::manual_seed(0);
  }

  Params params_;
  int64_t calls_ = 0, first_step_ = -1;
};

}  // namespace

ORRERY_PROBE(LyingProbe, Params, "lying_probe", "1.0.0", "The mean logit, with a fault.")
