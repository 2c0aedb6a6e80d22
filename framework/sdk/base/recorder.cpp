#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/recorder.h>

#include <algorithm>

namespace orrery {
namespace {

void refuse_repeat(bool present, const char* what, const std::string& name) {
  if (present) throw Error(fmt::format("{} \"{}\" is recorded twice at one checkpoint", what, name));
}

template <class Pairs>
bool has(const Pairs& pairs, const std::string& name) {
  return std::any_of(pairs.begin(), pairs.end(), [&](const auto& pair) { return pair.first == name; });
}
template <class Named>
bool has_named(const Named& list, const std::string& name) {
  return std::any_of(list.begin(), list.end(), [&](const auto& entry) { return entry.name == name; });
}

torch::Tensor kept(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.detach().to(torch::kCPU).contiguous().clone() : tensor;
}

}  // namespace

void Recorder::scalar(const std::string& name, double value) {
  refuse_repeat(has(record_.scalars, name), "scalar", name);
  record_.scalars.emplace_back(name, value);
}

void Recorder::headline(const std::string& name, double value) {
  scalar(name, value);
  record_.headlines.push_back(name);
}

void Recorder::panel(const std::string& scalars, const std::string& title, const std::string& y_label) {
  const auto& panels = record_.panels;
  refuse_repeat(
      std::any_of(panels.begin(), panels.end(), [&](const auto& panel) { return panel.scalars == scalars; }),
      "the panel of the scalars", scalars);
  record_.panels.push_back({scalars, title, y_label});
}

void Recorder::tensor(const std::string& name, const torch::Tensor& value) {
  refuse_repeat(has(record_.tensors, name), "tensor", name);
  if (!value.defined()) throw Error(fmt::format("tensor \"{}\" is recorded but undefined", name));
  record_.tensors.emplace_back(name, kept(value));
}

void Recorder::figure(Figure figure) {
  refuse_repeat(has_named(record_.figures, figure.name), "figure", figure.name);
  for (Trace& trace : figure.traces) {
    trace.x = kept(trace.x);
    trace.y = kept(trace.y);
    trace.z = kept(trace.z);
    trace.y_error = kept(trace.y_error);
  }
  record_.figures.push_back(std::move(figure));
}

void Recorder::finding(Finding finding) {
  refuse_repeat(has_named(record_.findings, finding.name), "finding", finding.name);
  record_.findings.push_back(std::move(finding));
}

}  // namespace orrery
