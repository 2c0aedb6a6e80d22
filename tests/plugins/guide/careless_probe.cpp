// The guide's table of mistakes, made: a probe that is wrong where `mistake` says.
#include <orrery/plugin.h>
#include <orrery/probe.h>

namespace {

struct Params {
  std::string mistake = "none";
  static void fields(orrery::Fields<Params>& f) {
    f.add("mistake", &Params::mistake, "what is wrong")
        .one_of({"none", "hook", "cache", "weight", "twice", "undefined", "shape"});
  }
};

class CarelessProbe final : public orrery::Probe {
 public:
  explicit CarelessProbe(Params params) : params_(std::move(params)) {}

  orrery::Needs needs() const override {
    return {.inputs = orrery::Inputs::test,
            .activations = {made("hook") ? "blocks.*.attn.hook_patern" : "blocks.*.attn.hook_pattern"}};
  }

  void measure(const orrery::Observation& seen, orrery::Recorder& recorder) override {
    if (made("cache")) recorder.tensor("z", seen.cache["blocks.0.attn.hook_z"]);
    if (made("weight")) recorder.tensor("W_E", seen.weight("W_E"));
    recorder.scalar("mean", seen.logits.mean().item<double>());
    if (made("twice")) recorder.scalar("mean", 0);
    if (made("undefined")) recorder.tensor("nothing", torch::Tensor());
    if (made("shape")) recorder.tensor("sum", torch::zeros({2}) + torch::zeros({3}));
  }

 private:
  bool made(const std::string& mistake) const { return params_.mistake == mistake; }
  Params params_;
};

}  // namespace

ORRERY_PROBE(CarelessProbe, Params, "careless_probe", "1.0.0", "Logits, with a mistake.")
