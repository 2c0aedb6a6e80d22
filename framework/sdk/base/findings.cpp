#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/findings.h>

namespace orrery {
namespace {

void check_shares(const char* what, size_t things, size_t shares) {
  if (things != shares) throw Error(fmt::format("{} {} with {} shares", things, what, shares));
}

}  // namespace

Finding key_frequencies_finding(int64_t order, const std::vector<int64_t>& frequencies,
                                const std::vector<double>& shares) {
  check_shares("key frequencies", frequencies.size(), shares.size());
  return {"key_frequencies",
          "key_frequencies",
          {{"order", order}, {"frequencies", frequencies}, {"shares", shares}}};
}

Finding key_representations_finding(const std::string& group, int64_t order,
                                    const std::vector<std::string>& representations,
                                    const std::vector<double>& shares) {
  check_shares("key representations", representations.size(), shares.size());
  return {"key_representations",
          "key_representations",
          {{"group", group}, {"order", order}, {"representations", representations}, {"shares", shares}}};
}

Finding head_role_finding(int64_t layer, int64_t head, const std::string& role, double score) {
  return {fmt::format("head_{}_{}_{}", layer, head, file_safe_name(role)),
          "head_role",
          {{"layer", layer}, {"head", head}, {"role", role}, {"score", score}}};
}

Finding ablation_finding(const std::string& component, const std::string& mode, const std::string& inputs,
                         double loss_before, double loss_after) {
  return {file_safe_name(fmt::format("ablation {} {} {}", component, mode, inputs)),
          "ablation",
          {{"component", component},
           {"mode", mode},
           {"inputs", inputs},
           {"loss_before", loss_before},
           {"loss_after", loss_after}}};
}

Finding circuit_efficiency_finding(double c_gen, double c_mem, double parameter_norm) {
  return {
      "efficiency", "efficiency", {{"c_gen", c_gen}, {"c_mem", c_mem}, {"parameter_norm", parameter_norm}}};
}

Finding phase_change_finding(const std::string& curve, const std::string& boundary, int64_t step, int64_t low,
                             int64_t high, double confidence, double fraction) {
  return {file_safe_name(fmt::format("{} {} {}", curve, boundary, step)),
          "phase_change",
          {{"curve", curve},
           {"boundary", boundary},
           {"step", step},
           {"low", low},
           {"high", high},
           {"confidence", confidence},
           {"fraction", fraction}}};
}

}  // namespace orrery
