#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/history.h>

#include <algorithm>

namespace orrery {
namespace {

template <class Series>
const Series& series_of(const std::vector<Series>& all, const std::string& name, const char* what) {
  std::vector<std::string> names;
  for (const Series& series : all) {
    if (series.name == name) return series;
    names.push_back(series.name);
  }
  throw Error(fmt::format("conclude() was not given the {} \"{}\"{}", what, name, did_you_mean(name, names)),
              fmt::format("it gets what needs() names in {}s", what));
}

}  // namespace

torch::Tensor TensorSeries::at(int64_t step) const {
  if (!std::binary_search(steps.begin(), steps.end(), step))
    throw Error(fmt::format("the tensor \"{}\" was not recorded at step {}", name, step),
                steps.empty() ? "it was recorded at none"
                              : fmt::format("it was at {}, from step {} to {}", steps.size(), steps.front(),
                                            steps.back()));
  return read(step);
}

const Curve& History::curve(const std::string& name) const { return series_of(curves, name, "curve"); }

const TensorSeries& History::tensor(const std::string& name) const {
  return series_of(tensors, name, "tensor");
}

FindingSeries History::finding(const std::string& name) const {
  for (const FindingSeries& series : findings)
    if (series.name == name) return series;
  return {name, {}, {}};
}

}  // namespace orrery
