// Sums a weight; crashes where and how it is told to, and keeps a log of its calls.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace {

struct Params {
  std::string fail;
  std::string how = "segv";
  int64_t step = -1;
  std::string log;
  std::string inputs = "none";
  std::string hook;
  std::vector<std::string> curves, tensors, findings;
  bool fits = false;
  int64_t milliseconds = 0;
  static void fields(orrery::Fields<Params>& f) {
    f.add("fail", &Params::fail, "the call that fails").one_of({"", "fit", "measure", "conclude"});
    f.add("how", &Params::how, "how it fails")
        .one_of(
            {"segv", "abort", "kill", "exit", "throw", "throw_at_length", "recursion", "uncaught", "leave"});
    f.add("step", &Params::step, "the step at which measure fails; -1: at every one");
    f.add("log", &Params::log, "a file that gets a line for each call");
    f.add("inputs", &Params::inputs, "what it looks at").one_of({"none", "train"});
    f.add("hook", &Params::hook, "a hook point it needs");
    f.add("curves", &Params::curves, "what it concludes from");
    f.add("tensors", &Params::tensors, "likewise");
    f.add("findings", &Params::findings, "likewise; it then records one itself from step 20 on, \"late\"");
    f.add("fits", &Params::fits, "whether it looks at a reference first");
    f.add("milliseconds", &Params::milliseconds, "how long a measurement takes");
  }
};

// Not to be seen through by the compiler.
int64_t endless(volatile int64_t n) { return n < 0 ? 0 : endless(n + 1) + n; }

void throw_uncaught() noexcept { torch::zeros({2, 3}).matmul(torch::zeros({2, 3})); }

class FragileProbe final : public orrery::Probe {
 public:
  explicit FragileProbe(Params params) : params_(std::move(params)) {}

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.inputs = params_.inputs == "none" ? orrery::Inputs::none : orrery::Inputs::train;
    if (!params_.hook.empty()) needs.activations = {params_.hook};
    needs.reference = params_.fits;
    needs.curves = params_.curves;
    needs.tensors = params_.tensors;
    needs.findings = params_.findings;
    return needs;
  }
  void fit(const orrery::Observation& reference) override {
    called("fit", reference.step);
    reference_ = sum(reference);
  }
  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    called("measure", observation.step);
    recorder.headline("sum", sum(observation));
    recorder.scalar("reference", reference_);
    recorder.tensor("weight", observation.weight("embed.W_E"));
    if (!params_.findings.empty() && observation.step >= 20)
      recorder.finding({"late", "lateness", {{"steps", observation.step - 20}}});
  }
  void conclude(const orrery::History& history, orrery::Recorder& recorder) override {
    called("conclude", -1);
    for (const orrery::Curve& curve : history.curves) {
      recorder.scalar(curve.name + "/rows", static_cast<double>(curve.steps.size()));
      recorder.headline(curve.name + "/last", curve.values.back());
    }
    for (const orrery::TensorSeries& series : history.tensors) {
      double total = 0;
      for (const int64_t step : series.steps)
        total += series.at(step).to(torch::kDouble).sum().item<double>();
      recorder.scalar(series.name + "/rows", static_cast<double>(series.steps.size()));
      recorder.headline(series.name + "/total", total);
    }
    for (const orrery::FindingSeries& series : history.findings) {
      recorder.scalar(series.name + "/rows", static_cast<double>(series.steps.size()));
      recorder.scalar(series.name + "/first", static_cast<double>(series.steps.front()));
      recorder.scalar(series.name + "/last",
                      static_cast<double>(std::get<int64_t>(series.findings.back().fields.at("steps"))));
    }
  }

 private:
  static double sum(const orrery::Observation& observation) {
    return observation.weight("embed.W_E").to(torch::kDouble).sum().item<double>();
  }
  void called(const std::string& call, int64_t step) const {
    if (!params_.log.empty()) std::ofstream(params_.log, std::ios::app) << call << " " << step << std::endl;
    std::this_thread::sleep_for(std::chrono::milliseconds(params_.milliseconds));
    if (std::getenv("FRAGILE_PROBE_IS_MENDED")) return;
    if (call != params_.fail || (params_.step >= 0 && step != params_.step)) return;
    if (params_.how == "throw") throw orrery::Error("it broke", "mend it");
    if (params_.how == "throw_at_length") throw orrery::Error(std::string(10'000'000, 'x'));
    if (params_.how == "exit") std::_Exit(3);
    if (params_.how == "leave") std::exit(3);
    if (params_.how == "uncaught") throw_uncaught();
    if (params_.how == "recursion") endless(1);
    if (params_.how == "abort") std::abort();
    ::raise(params_.how == "kill" ? SIGKILL : SIGSEGV);
  }

  Params params_;
  double reference_ = 0;
};

}  // namespace

ORRERY_PROBE(FragileProbe, Params, "fragile_probe", "0.1.0", "Sums a weight, or crashes.")
