// The mean logit, by a probe that spoils what it shares with others as `fault` says, at step `step`.
#include <ATen/Parallel.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <signal.h>
#include <torch/utils.h>
#include <unistd.h>

#include <chrono>
#include <clocale>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <thread>

namespace {

using orrery::Observation;
using orrery::Recorder;
using Fault = std::function<void(const Observation&, Recorder&)>;

torch::Tensor W_E(const Observation& seen) { return seen.model.weight("embed.W_E").detach(); }

void hooked(const Observation& seen, const orrery::HookFunction& hook) {
  orrery::run_with_hooks(seen.model, seen.inputs.tokens, {{"hook_embed", hook}});
}

const std::map<std::string, Fault>& faults() {
  static const std::map<std::string, Fault> all = {
      {"none", [](const Observation&, Recorder&) {}},
      // Harmless, for weight() gives a copy.
      {"copied_weight",
       [](const Observation& seen, Recorder&) {
         seen.weight("embed.W_E").zero_();
         torch::Tensor W = seen.weight("unembed.W_U");
         W -= W.mean(0);
       }},
      {"weight", [](const Observation& seen, Recorder&) { W_E(seen).zero_(); }},
      {"weight_by_pointer", [](const Observation& seen, Recorder&) { W_E(seen).data_ptr<float>()[3] = 1e6; }},
      {"labels", [](const Observation& seen, Recorder&) { seen.split.train.labels.zero_(); }},
      {"inputs", [](const Observation& seen, Recorder&) { seen.inputs.labels.zero_(); }},
      {"cache", [](const Observation& seen, Recorder&) { seen.cache["hook_embed"].zero_(); }},
      {"logits", [](const Observation& seen, Recorder&) { seen.logits.mul_(2); }},
      {"hook_left",
       [](const Observation& seen, Recorder&) {
         new orrery::HookScope(seen.model, {{"hook_embed", [](const torch::Tensor& x) { return x * 2; }}});
       }},
      {"hook_in_place",
       [](const Observation& seen, Recorder&) {
         hooked(seen, [](const torch::Tensor& x) { return torch::Tensor(x).zero_(); });
       }},
      {"hook_broadcast",
       [](const Observation& seen, Recorder&) {
         hooked(seen, [](const torch::Tensor& x) { return x.mean(1, true); });
       }},
      {"threads", [](const Observation&, Recorder&) { at::set_num_threads(4); }},
      {"dtype",
       [](const Observation&, Recorder&) { torch::set_default_dtype(caffe2::TypeMeta::Make<double>()); }},
      {"folder", [](const Observation&, Recorder&) { static_cast<void>(::chdir("/") == 0); }},
      {"cout", [](const Observation&, Recorder&) { std::cout << "here I am" << std::endl; }},
      {"printf", [](const Observation&, Recorder&) { std::printf("here I am\n"); }},
      {"sparse",
       [](const Observation&, Recorder& recorder) { recorder.tensor("t", torch::eye(3).to_sparse()); }},
      {"complex", [](const Observation&,
                     Recorder& recorder) { recorder.tensor("t", torch::ones({2}, torch::kComplexFloat)); }},
      {"bytes", [](const Observation&, Recorder& recorder) { recorder.scalar("a\xff", 1); }},
      {"newline", [](const Observation&, Recorder& recorder) { recorder.scalar("a\nb", 1); }},
      {"exit", [](const Observation&, Recorder&) { std::exit(0); }},
      {"_exit", [](const Observation&, Recorder&) { ::_exit(0); }},
      {"_Exit", [](const Observation&, Recorder&) { std::_Exit(0); }},
      {"quick_exit", [](const Observation&, Recorder&) { std::quick_exit(0); }},
      {"hang",
       [](const Observation&, Recorder&) {
         while (true) std::this_thread::sleep_for(std::chrono::seconds(1));
       }},
      {"stop", [](const Observation&, Recorder&) { ::raise(SIGSTOP); }},
      {"stop_for_good",
       [](const Observation&, Recorder&) {
         while (true) ::raise(SIGSTOP);
       }},
  };
  return all;
}

struct Params {
  std::string fault = "none";
  int64_t step = 10;
  bool only_mlps = false;
  std::vector<std::string> curves;
  static void fields(orrery::Fields<Params>& f) {
    std::vector<std::string> names;
    for (const auto& [name, fault] : faults()) names.push_back(name);
    f.add("fault", &Params::fault, "what it spoils").one_of(names);
    f.add("step", &Params::step, "where");
    f.add("only_mlps", &Params::only_mlps, "whether it refuses every model with attention");
    f.add("curves", &Params::curves, "what it concludes from");
  }
};

class RuinousProbe final : public orrery::Probe {
 public:
  explicit RuinousProbe(Params params) : params_(std::move(params)) {}

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.inputs = orrery::Inputs::train;
    needs.activations = {"hook_embed"};
    needs.null = false;
    needs.curves = params_.curves;
    if (params_.only_mlps)
      needs.refusal = [](const orrery::Model& model, const orrery::TaskSpec&) {
        return model.find_hook_point("blocks.0.attn.hook_z") ? "it knows nothing of attention" : "";
      };
    return needs;
  }

  void measure(const Observation& seen, Recorder& recorder) override {
    recorder.headline("mean_logit", seen.logits.mean().item<double>());
    recorder.scalar("embed", seen.cache["hook_embed"].sum().item<double>());
    if (seen.step == params_.step) faults().at(params_.fault)(seen, recorder);
  }
  void conclude(const orrery::History& history, Recorder& recorder) override {
    for (const orrery::Curve& curve : history.curves)
      recorder.scalar(curve.name + "/rows", static_cast<double>(curve.steps.size()));
  }

 private:
  Params params_;
};

}  // namespace

ORRERY_PROBE(RuinousProbe, Params, "ruinous_probe", "1.0.0", "The mean logit, and something spoiled.")
