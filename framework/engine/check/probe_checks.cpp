#include "engine/check/probe_checks.h"

namespace orrery::engine::checks {

std::vector<Check> probe_checks(std::shared_ptr<ProbeUnderCheck> probe) {
  const auto with = [probe](Result (*check)(ProbeUnderCheck&)) {
    return [probe, check] { return check(*probe); };
  };
  const std::string measured = "measures", needs = "its needs are declared", twice = "same numbers twice";
  const std::string model = "leaves the model as it is", shown = "leaves what it is shown as it is",
                    torch = "leaves LibTorch as it is";
  const std::vector<std::string> first = {measured, needs};
  return {
      {measured, {}, with(measures)},
      {needs, {measured}, with(needs_declared)},
      {"measures random weights as its null", first, with(measures_null)},
      {model, first, with(leaves_the_model)},
      {shown, first, with(leaves_what_it_is_shown)},
      {torch, first, with(leaves_torch)},
      {twice, first, with(same_numbers_twice)},
      {"same online and offline", {measured, needs, twice, model, shown, torch}, with(online_and_offline)},
      {"recorded names are stable", first, with(names_stable)},
      {"figures are whole", first, with(figures_whole)},
      {"findings are of their kind", first, with(findings_of_their_kind)},
      {"what it records can be kept", first, with(records_stored)},
      {"concludes from any curve", {}, with(concludes)},
  };
}

}  // namespace orrery::engine::checks
