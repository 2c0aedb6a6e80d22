// The mean logit; throws what and where it is told to.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <stdexcept>

namespace {

struct Params {
  std::string fail;
  std::string with = "std";
  static void fields(orrery::Fields<Params>& f) {
    f.add("fail", &Params::fail, "the call that throws").one_of({"", "needs", "fit", "measure"});
    f.add("with", &Params::with, "what is thrown").one_of({"std", "int", "torch", "error"});
  }
};

class GoodProbe final : public orrery::Probe {
 public:
  explicit GoodProbe(Params params) : params_(std::move(params)) {}

  orrery::Needs needs() const override {
    fail("needs");
    orrery::Needs needs;
    needs.inputs = orrery::Inputs::train;
    needs.reference = true;
    return needs;
  }
  void fit(const orrery::Observation&) override { fail("fit"); }
  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    fail("measure");
    recorder.scalar("mean_logit", observation.logits.mean().item<double>());
  }

 private:
  void fail(const std::string& call) const {
    if (call != params_.fail) return;
    if (params_.with == "std") throw std::runtime_error("ran out of luck");
    if (params_.with == "int") throw 42;
    if (params_.with == "error") throw orrery::Error("no circuit", "train longer");
    torch::zeros({2, 3}).matmul(torch::zeros({2, 3}));
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(GoodProbe, Params, "good_probe", "0.9.0", "Mean of the logits.")
