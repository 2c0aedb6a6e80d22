// The parity of two bits: [a, b] -> a xor b. The task that loads next to all the broken ones.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/task.h>

namespace {

struct Params {
  int64_t repeats = 1;
  double share = 0.5;
  std::string fail;
  std::vector<int64_t> sizes = {1, 2};
  static void fields(orrery::Fields<Params>& f) {
    f.add("repeats", &Params::repeats, "copies of the four examples").at_least(1);
    f.add("share", &Params::share, "not used").between(0, 1);
    f.add("fail", &Params::fail, "the call that throws").one_of({"", "create", "split"});
    f.add("sizes", &Params::sizes, "not used");
  }
};

class GoodTask final : public orrery::Task {
 public:
  explicit GoodTask(Params params) : params_(std::move(params)) {
    if (params_.fail == "create") throw orrery::UsageError("asked to fail", "do not ask");
  }

  orrery::TaskSpec spec() const override { return {2, 2, 2, {1}, {}}; }

  orrery::Split split(torch::Generator) const override {
    if (params_.fail == "split") throw 3.5;
    const auto bits = torch::arange(4 * params_.repeats, torch::kInt64);
    const auto a = bits.remainder(2), b = bits.floor_divide(2).remainder(2);
    const orrery::Batch all{torch::stack({a, b}, 1), (a + b).remainder(2).unsqueeze(1), {}, {}};
    return {all, all, {}, {}, {}};
  }

 private:
  Params params_;
};

}  // namespace

ORRERY_TASK(GoodTask, Params, "good_task", "1.2.3", "Parity of two bits.")
