#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/recorder.h>

#include <algorithm>

#include "sdk/base/names.h"
#include "sdk/base/storable.h"

namespace orrery {
namespace {

// Those of safetensors (sdk/files/tensors.cpp).
constexpr torch::ScalarType storable[] = {torch::kDouble, torch::kFloat, torch::kHalf,  torch::kBFloat16,
                                          torch::kLong,   torch::kInt,   torch::kShort, torch::kChar,
                                          torch::kByte,   torch::kBool};

constexpr const char* sorts[] = {"scalar", "tensor", "figure", "finding"};

torch::Tensor kept(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.detach().to(torch::kCPU).contiguous().clone() : tensor;
}

bool is_text(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return is_utf8(*text);
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value))
    return std::all_of(texts->begin(), texts->end(), [](const std::string& text) { return is_utf8(text); });
  return true;
}

}  // namespace

std::string storable_fault(const torch::Tensor& tensor) {
  if (tensor.layout() != torch::kStrided) return "it is sparse; convert it with to_dense()";
  if (tensor.is_complex()) return "it is complex; use torch::view_as_real(), real() or abs()";
  const bool known =
      std::find(std::begin(storable), std::end(storable), tensor.scalar_type()) != std::end(storable);
  return known ? "" : fmt::format("its dtype {} cannot be stored", torch::toString(tensor.scalar_type()));
}

void Recorder::take_name(Sort sort, const std::string& name) {
  if (const std::string fault = name_fault(name); !fault.empty())
    throw Error(fmt::format("{}: {}", sorts[sort], fault), "name it with words, separated by slashes");
  if (!names_[sort].insert(name).second)
    throw Error(fmt::format("{} \"{}\" is recorded twice at one checkpoint", sorts[sort], name));
}

void Recorder::scalar(const std::string& name, double value) {
  take_name(scalars, name);
  record_.scalars.emplace_back(name, value);
}

void Recorder::headline(const std::string& name, double value) {
  scalar(name, value);
  record_.headlines.push_back(name);
}

void Recorder::panel(const std::string& scalars, const std::string& title, const std::string& y_label) {
  const auto& panels = record_.panels;
  if (std::any_of(panels.begin(), panels.end(), [&](const auto& panel) { return panel.scalars == scalars; }))
    throw Error(fmt::format("the panel of the scalars \"{}\" is recorded twice at one checkpoint", scalars));
  record_.panels.push_back({scalars, title, y_label});
}

void Recorder::tensor(const std::string& name, const torch::Tensor& value) {
  if (!value.defined()) throw Error(fmt::format("tensor \"{}\" is recorded but undefined", name));
  if (const std::string fault = storable_fault(value); !fault.empty())
    throw Error(fmt::format("tensor \"{}\": {}", name, fault));
  take_name(tensors, name);
  record_.tensors.emplace_back(name, kept(value));
}

void Recorder::figure(Figure figure) {
  if (const std::string fault = figure_fault(figure); !fault.empty())
    throw Error(fmt::format("figure: {}", fault), "orrery/recorder.h says what each kind of figure needs");
  take_name(figures, figure.name);
  for (Trace& trace : figure.traces) {
    trace.x = kept(trace.x);
    trace.y = kept(trace.y);
    trace.z = kept(trace.z);
    trace.y_error = kept(trace.y_error);
  }
  record_.figures.push_back(std::move(figure));
}

void Recorder::finding(Finding finding) {
  if (const std::string fault = name_fault(finding.kind); !fault.empty())
    throw Error(fmt::format("finding \"{}\", its kind: {}", finding.name, fault), "name it with words");
  for (const auto& [field, value] : finding.fields) {
    if (field == "kind")
      throw Error(fmt::format("finding \"{}\": no field may be called \"kind\"", finding.name),
                  "give the field another name");
    if (!is_utf8(field) || !is_text(value))
      throw Error(fmt::format("finding \"{}\": a field's name or text is not UTF-8", finding.name));
  }
  take_name(findings, finding.name);
  record_.findings.push_back(std::move(finding));
}

}  // namespace orrery
