#include "engine/check/check.h"

#include <fmt/format.h>
#include <orrery/error.h>

namespace orrery::engine::checks {

std::string to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::failed:
      return "failed";
    case Verdict::not_applicable:
      break;
  }
  return "not applicable";
}

Result ok(std::string on_what) { return {Verdict::ok, std::move(on_what), ""}; }
Result failed(std::string seen, std::string advice) {
  return {Verdict::failed, std::move(seen), std::move(advice)};
}
Result not_applicable(std::string why) { return {Verdict::not_applicable, std::move(why), ""}; }

Result run_check(const Check& check, const std::map<std::string, Verdict>& so_far) {
  for (const std::string& earlier : check.after)
    if (const auto found = so_far.find(earlier); found != so_far.end() && found->second == Verdict::failed)
      return not_applicable(fmt::format("says nothing while \"{}\" fails", earlier));
  try {
    return check.run();
  } catch (const Error& error) {
    return failed(error.what(), error.hint());
  } catch (const std::exception& error) {
    return failed(error.what(), "");
  }
}

std::string counted(int64_t n, const std::string& word) {
  return fmt::format("{} {}{}", n, word, n == 1 ? "" : "s");
}

}  // namespace orrery::engine::checks
