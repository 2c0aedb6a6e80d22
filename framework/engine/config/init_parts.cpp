#include <fmt/format.h>
#include <orrery/error.h>

#include "engine/config/reader.h"
#include "engine/config/training_parts.h"

namespace orrery::engine {
namespace {

using json = nlohmann::ordered_json;

template <NamedEnum E>
std::vector<std::string> texts_of() {
  std::vector<std::string> texts;
  for (const auto& [text, value] : names_of(E{})) texts.push_back(text);
  return texts;
}

// The globs under `key`, which must be there.
std::vector<std::string> required_globs(const Table& entry, const std::string& key, const std::string& owner,
                                        const Values& values, const std::string& means) {
  const auto globs = std::get<std::vector<std::string>>(values.at(key));
  if (globs.empty()) refuse(entry.place(), fmt::format("{} needs a key \"{}\", {}", owner, key, means));
  return globs;
}

InitialDraw read_draw(const Table& entry) {
  const Values values = bind_fields(entry, draw_keys(), "[[init.draw]]");
  InitialDraw draw;
  draw.weights = required_globs(entry, "weights", "[[init.draw]]", values, "globs of weights");
  draw.distribution = named<InitialDraw::Distribution>(std::get<std::string>(values.at("distribution")));
  draw.std = std::get<double>(values.at("std"));
  draw.scale = std::get<double>(values.at("scale"));
  draw.place = entry.place();
  using enum InitialDraw::Distribution;
  const bool wants =
      draw.distribution == normal || draw.distribution == uniform || draw.distribution == truncated_normal;
  if (entry.has("std") && !wants)
    refuse(entry.value_place("std"),
           fmt::format("init.draw: the distribution {} has no std of its own", name_of(draw.distribution)),
           "multiply by scale, or choose normal, uniform or truncated_normal");
  return draw;
}

Transplant read_transplant(const Table& entry) {
  const Values values = bind_fields(entry, transplant_keys(), "[[init.transplant]]");
  Transplant transplant;
  transplant.from = required_text(entry, "from", "[[init.transplant]]", "a checkpoint");
  transplant.weights = required_globs(entry, "weights", "[[init.transplant]]", values, "globs of weights");
  transplant.place = entry.place();
  return transplant;
}

Intervention read_intervention(const Table& entry) {
  const Values values = bind_fields(entry, intervention_keys(), "[[train.intervene]]");
  Intervention made;
  made.at = required_globs(entry, "at", "[[train.intervene]]", values, "globs of hook points");
  made.action = named<Intervention::Action>(std::get<std::string>(values.at("action")));
  made.heads = std::get<std::vector<int64_t>>(values.at("heads"));
  made.value = std::get<double>(values.at("value"));
  made.attend = named<Intervention::Attend>(std::get<std::string>(values.at("attend")));
  made.from_step = std::get<int64_t>(values.at("from_step"));
  made.to_step = std::get<int64_t>(values.at("to_step"));
  made.place = entry.place();
  if (made.to_step != 0 && made.to_step <= made.from_step)
    refuse(entry.value_place("to_step"),
           fmt::format("train.intervene: to_step is {}, and from_step {}", made.to_step, made.from_step),
           "to_step is the first step without it; 0 is the end of the training");
  return made;
}

Field key(std::string name, Value fallback, std::string doc) {
  return {std::move(name), std::move(fallback), std::move(doc), {}, {}, {}};
}

}  // namespace

std::vector<Field> draw_keys() {
  return {
      key("weights", std::vector<std::string>{}, "which weights, by glob"),
      key("distribution", std::string("own"),
          "own: as the model draws them; normal, uniform or truncated_normal (cut off at two std) with std; "
          "zeros; or as a library draws them: pytorch, transformer_lens, haiku")
          .one_of(texts_of<InitialDraw::Distribution>()),
      key("std", 1.0, "standard deviation, of truncated_normal before the cut").at_least(0),
      key("scale", 1.0, "what the weights are multiplied by").at_least(0)};
}

std::vector<Field> transplant_keys() {
  return {key("from", std::string(), "the checkpoint that they come from"),
          key("weights", std::vector<std::string>{}, "which weights, by glob")};
}

std::vector<Field> intervention_keys() {
  return {
      key("at", std::vector<std::string>{}, "hook points, by glob"),
      key("action", std::string("zero"),
          "zero; mean: over the batch; clamp: to value; freeze: no gradient passes; pattern: attention goes "
          "where "
          "attend says")
          .one_of(texts_of<Intervention::Action>()),
      key("heads", std::vector<int64_t>{}, "these heads only, of hook points that have heads").at_least(0),
      key("value", 0.0, "what clamp sets entries to"),
      key("attend", std::string("previous"),
          "what pattern attends to, alone or, uniform, all up to itself alike")
          .one_of(texts_of<Intervention::Attend>()),
      key("from_step", int64_t{0}, "first update that it acts in").at_least(0),
      key("to_step", int64_t{0}, "first update that it acts in no more; 0: to the end").at_least(0)};
}

std::vector<Intervention> read_interventions(const Table& table) {
  std::vector<Intervention> all;
  for (const Table& entry : table.tables("intervene")) all.push_back(read_intervention(entry));
  return all;
}

void write_interventions(const std::vector<Intervention>& interventions, json& object) {
  for (const Intervention& each : interventions)
    object["intervene"].push_back({{"at", each.at},
                                   {"action", name_of(each.action)},
                                   {"heads", each.heads},
                                   {"value", each.value},
                                   {"attend", name_of(each.attend)},
                                   {"from_step", each.from_step},
                                   {"to_step", each.to_step}});
}

const std::vector<std::string>& init_part_keys() {
  static const std::vector<std::string> keys = {"draw", "transplant"};
  return keys;
}

void read_init_parts(const Table& table, InitSettings& init) {
  for (const Table& entry : table.tables("draw")) init.draws.push_back(read_draw(entry));
  if (!init.from.empty() && !init.draws.empty())
    refuse(init.draws.front().place,
           "init.draw: init.from replaces all weights, so that none is left to draw",
           "leave one of them out, or take some weights by [[init.transplant]] in place of init.from");
  for (const Table& entry : table.tables("transplant")) init.transplants.push_back(read_transplant(entry));
}

void write_init_parts(const InitSettings& init, json& object) {
  using enum InitialDraw::Distribution;
  for (const InitialDraw& draw : init.draws) {
    json entry{
        {"weights", draw.weights}, {"distribution", name_of(draw.distribution)}, {"scale", draw.scale}};
    if (draw.distribution == normal || draw.distribution == uniform || draw.distribution == truncated_normal)
      entry["std"] = draw.std;
    object["draw"].push_back(std::move(entry));
  }
  for (const Transplant& transplant : init.transplants)
    object["transplant"].push_back({{"from", transplant.from}, {"weights", transplant.weights}});
}

}  // namespace orrery::engine
