#include "engine/run/results.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "engine/reporter/numbers.h"
#include "engine/run/json_line.h"
#include "engine/run/json_read.h"
#include "engine/run/json_write.h"

namespace orrery::engine {
namespace {

constexpr std::pair<Figure::Kind, const char*> kinds[] = {{Figure::Kind::line, "line"},
                                                          {Figure::Kind::bar, "bar"},
                                                          {Figure::Kind::scatter, "scatter"},
                                                          {Figure::Kind::heatmap, "heatmap"},
                                                          {Figure::Kind::histogram, "histogram"}};
constexpr std::pair<const char*, torch::Tensor Trace::*> axes[] = {
    {"x", &Trace::x}, {"y", &Trace::y}, {"z", &Trace::z}, {"y_error", &Trace::y_error}};

constexpr std::pair<const char*, bool Figure::*> flags[] = {
    {"x_log", &Figure::x_log}, {"y_log", &Figure::y_log}, {"equal_axes", &Figure::equal_axes}};
constexpr std::pair<const char*, std::vector<std::string> Figure::*> tick_lists[] = {
    {"x_ticks", &Figure::x_ticks}, {"y_ticks", &Figure::y_ticks}};

std::string trace_key(const std::string& figure, size_t index, const char* axis) {
  return fmt::format("figure/{}/{}/{}", figure, index, axis);
}

Json to_json(const Finding& finding) {
  Json object{{"kind", finding.kind}};
  for (const auto& [name, value] : finding.fields) {
    if (name == "kind")
      throw Error(fmt::format("finding \"{}\": no field may be called \"kind\"", finding.name));
    object[name] = json_value(value);
  }
  return object;
}

bool is_plain(const torch::Tensor& tensor) {
  return tensor.defined() && tensor.layout() == torch::kStrided && tensor.is_cpu() && !tensor.is_neg();
}

// By their bytes: neither a NaN nor the sign of a zero is lost.
bool same_data(const torch::Tensor& a, const torch::Tensor& b) {
  if (a.is_same(b)) return true;
  if (!is_plain(a) || !is_plain(b) || a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes())
    return false;
  const torch::Tensor x = a.contiguous(), y = b.contiguous();
  return x.nbytes() == 0 || std::memcmp(x.data_ptr(), y.data_ptr(), x.nbytes()) == 0;
}

// The data of a record under their keys. What figures repeat is stored once, under the key that it got first.
class StoredData {
 public:
  explicit StoredData(const Record& record) {
    for (const auto& [name, tensor] : record.tensors) named_.emplace_back("tensor/" + name, tensor);
  }
  std::string key_of(const torch::Tensor& tensor, const std::string& key) {
    for (const auto& [known, other] : named_)
      if (same_data(other, tensor)) return known;
    return named_.emplace_back(key, tensor).first;
  }
  NamedTensors named() && { return std::move(named_); }

 private:
  NamedTensors named_;
};

Json to_json(const Figure& figure, StoredData& data) {
  const auto* kind =
      std::find_if(std::begin(kinds), std::end(kinds), [&](auto& k) { return k.first == figure.kind; });
  Json object{{"name", figure.name},
              {"kind", kind->second},
              {"title", figure.title},
              {"x_label", figure.x_label},
              {"y_label", figure.y_label}};
  for (const auto& [key, flag] : flags)
    if (figure.*flag) object[key] = true;
  for (const auto& [key, ticks] : tick_lists)
    if (!(figure.*ticks).empty()) object[key] = figure.*ticks;
  Json& traces = object["traces"] = Json::array();
  for (size_t i = 0; i < figure.traces.size(); ++i) {
    Json trace{{"name", figure.traces[i].name}};
    for (const auto& [axis, member] : axes)
      if (const torch::Tensor& tensor = figure.traces[i].*member; tensor.defined())
        trace[axis] = data.key_of(tensor, trace_key(figure.name, i, axis));
    if (!figure.traces[i].labels.empty()) trace["labels"] = figure.traces[i].labels;
    if (!figure.traces[i].facet.empty()) trace["facet"] = figure.traces[i].facet;
    traces.push_back(std::move(trace));
  }
  return object;
}

Json to_json(const ScalarPanel& panel) {
  return {{"scalars", panel.scalars}, {"title", panel.title}, {"y_label", panel.y_label}};
}

Json to_json(const Record& record) {
  Json object{{"scalars", Json::object()},
              {"headlines", record.headlines},
              {"findings", Json::object()},
              {"figures", Json::array()},
              {"tensors", Json::object()}};
  for (const auto& [name, value] : record.scalars) object["scalars"][name] = json_real(value);
  for (const Finding& finding : record.findings) object["findings"][finding.name] = to_json(finding);
  StoredData data(record);
  for (const Figure& figure : record.figures) object["figures"].push_back(to_json(figure, data));
  for (const auto& [name, tensor] : record.tensors) object["tensors"][name] = "tensor/" + name;
  for (const ScalarPanel& panel : record.panels) object["panels"].push_back(to_json(panel));
  return object;
}

std::string with_probes(const Json& head, const std::vector<std::pair<std::string, const Record*>>& probes,
                        const std::optional<Provenance>& provenance) {
  Json results = Json::object();
  for (const auto& [label, record] : probes) results[label] = to_json(*record);
  std::string line = json_line(head);
  line.pop_back();
  if (provenance) line += ", \"origin\": " + to_json(*provenance);
  return line + ", \"probes\": " + json_line(results) + "}";
}

template <class T, class Convert>
std::vector<T> each(const Json& list, Convert convert) {
  std::vector<T> values;
  for (const Json& item : list) values.push_back(convert(item));
  return values;
}

Value list_value(const Json& list, const std::string& what, const std::string& where) {
  const auto all = [&](auto holds) { return std::all_of(list.begin(), list.end(), holds); };
  if (all([](const Json& item) { return item.is_number_integer(); }))
    return each<int64_t>(list, [&](const Json& item) { return integer_of(item, what, where); });
  if (all([](const Json& item) { return as_real(item).has_value(); }))
    return each<double>(list, [](const Json& item) { return *as_real(item); });
  if (all([](const Json& item) { return item.is_string(); }))
    return each<std::string>(list, [](const Json& item) { return item.get<std::string>(); });
  throw Error(fmt::format("{}: \"{}\": expected a list of integers, of reals or of text", where, what));
}

Value value_of(const Json& value, const std::string& what, const std::string& where) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return integer_of(value, what, where);
  if (const auto real = as_real(value)) return *real;
  if (value.is_array()) return list_value(value, what, where);
  return text_of(value, what, where);
}

Finding finding_of(const std::string& name, const Json& object, const std::string& where) {
  Finding finding{name, text_of(member(object, "kind", where), "kind", where), {}};
  for (const auto& [key, value] : object.items())
    if (key != "kind") finding.fields.emplace(key, value_of(value, key, where));
  return finding;
}

using TensorsByName = std::map<std::string, torch::Tensor>;

torch::Tensor stored(const TensorsByName& tensors, const std::string& name, const std::string& where) {
  const auto found = tensors.find(name);
  if (found == tensors.end())
    throw Error(fmt::format("{}: the tensor \"{}\" is not in the file beside it", where, name));
  return found->second;
}

std::vector<std::string> texts_at(const Json& object, const char* key, const std::string& where) {
  std::vector<std::string> texts;
  if (object.contains(key))
    for (const Json& text : list_at(object, key, where)) texts.push_back(text_of(text, key, where));
  return texts;
}

ScalarPanel panel_of(const Json& object, const std::string& where) {
  const auto text = [&](const char* key) { return text_of(member(object, key, where), key, where); };
  return {text("scalars"), text("title"), text("y_label")};
}

Figure figure_of(const Json& object, const TensorsByName& tensors, const std::string& where) {
  const auto text = [&](const char* key) { return text_of(member(object, key, where), key, where); };
  Figure figure{text("name"), Figure::Kind::line, text("title"), text("x_label"), text("y_label"), {}};
  const std::string kind = text("kind");
  const auto* known =
      std::find_if(std::begin(kinds), std::end(kinds), [&](auto& k) { return k.second == kind; });
  if (known == std::end(kinds)) throw Error(fmt::format("{}: no figure is of kind \"{}\"", where, kind));
  figure.kind = known->first;
  for (const auto& [key, flag] : flags) figure.*flag = object.value(key, false);
  for (const auto& [key, ticks] : tick_lists) figure.*ticks = texts_at(object, key, where);
  for (const Json& item : list_at(object, "traces", where)) {
    Trace trace;
    trace.name = text_of(member(item, "name", where), "name", where);
    for (const auto& [axis, data] : axes)
      if (item.contains(axis)) trace.*data = stored(tensors, text_of(item[axis], axis, where), where);
    trace.labels = texts_at(item, "labels", where);
    if (item.contains("facet")) trace.facet = text_of(item["facet"], "facet", where);
    figure.traces.push_back(std::move(trace));
  }
  return figure;
}

bool has_data(const Json& figures, const Json& tensors, const std::string& where) {
  if (!tensors.empty()) return true;
  for (const Json& figure : figures)
    for (const Json& trace : list_at(figure, "traces", where))
      for (const auto& [axis, data] : axes)
        if (trace.contains(axis)) return true;
  return false;
}

}  // namespace

std::string to_string(RunLevelResult aside) { return aside == RunLevelResult::null ? "null" : "conclusion"; }

std::string to_text(const SeenCheckpoints& checkpoints) {
  return fmt::format("from {} of {} checkpoints: the others were pruned without a result",
                     thousands(checkpoints.seen), thousands(checkpoints.made));
}

std::string result_line(int64_t step, const std::string& checkpoint,
                        const std::vector<std::pair<std::string, const Record*>>& probes,
                        const std::optional<Provenance>& provenance) {
  return with_probes({{"step", step}, {"checkpoint", checkpoint}}, probes, provenance);
}

std::string result_line(RunLevelResult aside,
                        const std::vector<std::pair<std::string, const Record*>>& probes,
                        const std::optional<Provenance>& provenance, const std::optional<int64_t>& until,
                        const std::optional<SeenCheckpoints>& partly) {
  Json line = {{"of", to_string(aside)}};
  if (until) line["until"] = *until;
  if (partly) line["checkpoints"] = {{"seen", partly->seen}, {"made", partly->made}};
  return with_probes(std::move(line), probes, provenance);
}

Json checked_result(std::string_view line, const std::string& where) {
  check_line(line.substr(0, line.find_last_not_of('\n') + 1), where);
  return parse_object(line, where);
}

Json result_without_figures(std::string_view line, const std::string& where) {
  const bool whole = check_line(line.substr(0, line.find_last_not_of('\n') + 1), where);
  constexpr std::string_view opening = ", \"figures\": [", closing = "], \"tensors\": {";
  // In texts these would be escaped, and no finding or figure has members of both kinds.
  const size_t end = whole ? line.rfind(closing) : line.npos;
  const size_t begin = end == line.npos ? line.npos : line.rfind(opening, end);
  if (begin == line.npos) return parse_object(line, where);
  return parse_object(std::string(line.substr(0, begin + opening.size())).append(line.substr(end)), where);
}

PackedResult pack_result(std::string line, const Record& record) {
  line = with_line_checksum(std::move(line));
  const NamedTensors tensors = result_tensors(record);
  if (tensors.empty()) return {std::move(line), {}};
  return {std::move(line), tensor_bytes(tensors, "result")};
}

NamedTensors result_tensors(const Record& record) {
  StoredData data(record);
  for (const Figure& figure : record.figures)
    for (size_t i = 0; i < figure.traces.size(); ++i)
      for (const auto& [axis, member] : axes)
        if (const torch::Tensor& tensor = figure.traces[i].*member; tensor.defined())
          data.key_of(tensor, trace_key(figure.name, i, axis));
  return std::move(data).named();
}

namespace {

SeenCheckpoints seen_checkpoints(const Json& object, const std::string& where) {
  const Json& counts = object_at(object, "checkpoints", where);
  const auto count = [&](const char* key) { return integer_of(member(counts, key, where), key, where); };
  return {count("seen"), count("made")};
}

ProbeResult parse_result_line(std::string_view line, const std::string& label, const std::string& where,
                              const std::function<NamedTensors(int64_t step)>& load) {
  const Json object = load ? checked_result(line, where) : result_without_figures(line, where);
  ProbeResult result;
  if (object.contains("of")) {
    result.step = -1;
    if (object.contains("until")) result.until = integer_of(object["until"], "until", where);
    if (object.contains("checkpoints")) result.partly = seen_checkpoints(object, where);
  } else {
    result.step = integer_of(member(object, "step", where), "step", where);
    result.checkpoint = text_of(member(object, "checkpoint", where), "checkpoint", where);
  }
  if (object.contains("origin")) result.provenance = read_provenance(object_at(object, "origin", where));
  const Json& recorded = member(object_at(object, "probes", where), label.c_str(), where);
  Record& record = result.record;
  for (const auto& [name, value] : object_at(recorded, "scalars", where).items())
    record.scalars.emplace_back(name, real_of(value, name, where));
  for (const Json& name : list_at(recorded, "headlines", where))
    record.headlines.push_back(text_of(name, "headlines", where));
  for (const auto& [name, value] : object_at(recorded, "findings", where).items())
    record.findings.push_back(finding_of(name, value, where));
  if (recorded.contains("panels"))
    for (const Json& panel : list_at(recorded, "panels", where))
      record.panels.push_back(panel_of(panel, where));
  const Json &figures = list_at(recorded, "figures", where), &tensors = object_at(recorded, "tensors", where);
  for (const auto& [name, key] : tensors.items()) result.tensor_names.push_back(name);
  if (!load) return result;
  TensorsByName data;
  if (has_data(figures, tensors, where))
    for (auto& [name, tensor] : load(result.step)) data.emplace(name, tensor);
  for (const Json& figure : figures) record.figures.push_back(figure_of(figure, data, where));
  for (const auto& [name, key] : tensors.items())
    record.tensors.emplace_back(name, stored(data, text_of(key, name, where), where));
  return result;
}

}  // namespace

ProbeResult parse_result(std::string_view line, const std::string& label, const std::string& where,
                         const std::function<NamedTensors(int64_t step)>& load) {
  try {
    return parse_result_line(line, label, where, load);
  } catch (const Json::exception& error) {  // a value of a type that nobody expected
    throw Error(fmt::format("{}: {}", where, error.what()));
  }
}

}  // namespace orrery::engine
