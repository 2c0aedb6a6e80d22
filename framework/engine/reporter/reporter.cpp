#include "engine/reporter/reporter.h"

namespace orrery::engine {
namespace {

class Silent final : public Progress {
 public:
  void show(int64_t, const std::string&, bool) override {}
  bool due() const override { return false; }
};

}  // namespace

Progress::~Progress() = default;
Reporter::~Reporter() = default;
void Reporter::note(const std::string&) {}
void Reporter::warning(const std::string&, const std::string&) {}
std::unique_ptr<Progress> Reporter::progress(int64_t, const std::string&) {
  return std::make_unique<Silent>();
}
bool Reporter::stop_requested() const { return false; }

}  // namespace orrery::engine
