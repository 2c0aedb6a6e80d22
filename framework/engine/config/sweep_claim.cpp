#include "engine/config/sweep_claim.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>

#include "engine/config/reader.h"
#include "engine/config/sweep_reader.h"

namespace orrery::engine {
namespace {

using NameList = std::vector<std::string>;

// A name stands in conditions and as the title of a column.
std::string read_name(const Table& entry, const std::string& owner, const NameList& taken) {
  const std::string name = required_text(entry, "name", owner, "what it is called");
  if (name.empty() || name.find_first_of(" \t\n\",<>=!") != std::string::npos)
    refuse(entry.place("name"),
           fmt::format("{}: expected one word, got {}", entry.path("name"), to_string(Value(name))));
  if (std::find(taken.begin(), taken.end(), name) != taken.end())
    refuse(entry.place("name"), fmt::format("two entries of {} are called \"{}\"", owner, name));
  return name;
}

void refuse_unnamed(const Table& entry, const std::string& key, const std::string& name,
                    const std::string& kind, const NameList& known) {
  if (std::find(known.begin(), known.end(), name) != known.end()) return;
  refuse(
      entry.place(key),
      fmt::format("{}: there is no [[{}]] \"{}\"{}", entry.path(key), kind, name, did_you_mean(name, known)),
      known.empty() ? "there is none at all" : fmt::format("there are: {}", fmt::join(known, ", ")));
}

NameList names_in(const std::vector<SweepReading>& readings) {
  NameList names;
  for (const SweepReading& reading : readings) names.push_back(reading.name);
  return names;
}

NameList names_in(const std::vector<SweepClass>& classes) {
  NameList names;
  for (const SweepClass& each : classes) names.push_back(each.name);
  return names;
}

SweepReading read_reading_entry(const Table& entry, const NameList& taken, const NameList* labels) {
  Fields<Expectation> fields = fields_of<Expectation>();
  std::vector<Field> asked;
  for (const Field& field : fields.list())
    if (field.name != "bound" && field.name != "source") asked.push_back(field);
  Expectation question = fields.make(bind_fields(entry, asked, "[[reading]]", {"name"}));
  SweepReading reading{read_name(entry, "[[reading]]", taken), {}};
  required_text(entry, "metric", "[[reading]]", "the number to look at", "for example \"test/accuracy\"");
  if (question.metric.find('*') != std::string::npos)
    refuse(entry.place("metric"),
           fmt::format("{}: a reading is one number; name one metric", entry.path("metric")));
  read_question(entry, question, labels);
  const auto kind = question.reading.kind;
  if (kind == Reading::Kind::any || (kind == Reading::Kind::every && !question.rows.single()))
    refuse(entry.place("of"),
           fmt::format("{}: a reading is one number, not {} row", entry.path("of"),
                       kind == Reading::Kind::any ? "any" : "every"),
           "say which: of = \"last\", \"max\", \"min\", \"mean\", \"first step >= NUMBER\", ...");
  reading.question = std::move(question);
  return reading;
}

Condition read_condition(const Table& entry, const std::string& text, const NameList& readings) {
  Condition condition;
  try {
    condition = Condition::parse(text);
  } catch (const UsageError& error) {
    refuse(entry.place("if"), fmt::format("{}: {}", entry.path("if"), error.what()), error.hint());
  }
  for (const std::string& name : condition.metrics()) refuse_unnamed(entry, "if", name, "reading", readings);
  return condition;
}

struct ClaimKey {
  const char* key;
  SweepClaim::Kind kind;
};
constexpr ClaimKey claim_keys[] = {{"share", SweepClaim::Kind::share},
                                   {"median", SweepClaim::Kind::quantile},
                                   {"quantile", SweepClaim::Kind::quantile},
                                   {"order", SweepClaim::Kind::order}};

// Which of the four it is.
ClaimKey read_kind(const Table& entry) {
  const ClaimKey* found = nullptr;
  for (const ClaimKey& each : claim_keys) {
    if (!entry.has(each.key)) continue;
    if (found)
      refuse(entry.place(each.key), fmt::format("one entry claims a {} and a {}", found->key, each.key));
    found = &each;
  }
  if (!found)
    refuse(entry.place(), "[[expect]] of a sweep needs one of the keys share, median, quantile, order",
           "for example share = \"groks\"");
  return *found;
}

void refuse_stray(const Table& entry, const char* key, const char* wanted, const char* kind) {
  if (entry.has(key) && std::string(wanted) != kind)
    refuse(entry.place(key), fmt::format("{} belongs to {}, not to {}", entry.path(key), wanted, kind));
}

SweepClaim read_sweep_claim(const Table& entry, const SweepFile& sweep, const NameList& keys) {
  const auto text = [](const char* name) { return Field{name, std::string(), "", {}, {}, {}}; };
  const Values values =
      bind_fields(entry,
                  {text("share"), text("median"), text("quantile"), text("order"), text("along"),
                   text("bound"), text("source"), Field{"q", 0.5, "", 0.0, 1.0, {}}},
                  "[[expect]]", {"where"});
  const ClaimKey kind = read_kind(entry);
  refuse_stray(entry, "q", "quantile", kind.key);
  refuse_stray(entry, "along", "order", kind.key);
  SweepClaim claim;
  claim.kind = kind.kind;
  claim.subject = std::get<std::string>(values.at(kind.key));
  claim.wanted = read_claim(entry);
  claim.bound = std::get<std::string>(values.at("bound"));
  claim.source = std::get<std::string>(values.at("source"));
  claim.where = read_part(entry.table("where"));
  if (kind.kind == SweepClaim::Kind::share) {
    refuse_unnamed(entry, kind.key, claim.subject, "class", names_in(sweep.classes));
    return claim;
  }
  refuse_unnamed(entry, kind.key, claim.subject, "reading", names_in(sweep.readings));
  if (std::string(kind.key) == "quantile" && !entry.has("q"))
    refuse(entry.place("quantile"), "a quantile needs q, for example q = 0.9");
  claim.q = std::get<double>(values.at("q"));
  if (kind.kind != SweepClaim::Kind::order) return claim;
  claim.along = required_text(entry, "along", "[[expect]]", "the key that the runs differ in");
  if (std::find(keys.begin(), keys.end(), claim.along) == keys.end())
    refuse(entry.place("along"), fmt::format("{}: the runs do not differ in {}{}", entry.path("along"),
                                             claim.along, did_you_mean(claim.along, keys)));
  return claim;
}

std::string quantity(const SweepClaim& claim) {
  if (claim.kind == SweepClaim::Kind::share) return "share of " + claim.subject;
  if (claim.kind == SweepClaim::Kind::order)
    return fmt::format("rank correlation of {} with {}", claim.subject, claim.along);
  if (claim.q == 0.5) return "median of " + claim.subject;
  return fmt::format("{}-quantile of {}", claim.q, claim.subject);
}

}  // namespace

std::vector<SweepReading> read_readings(const std::vector<Table>& entries, const NameList* labels) {
  std::vector<SweepReading> readings;
  for (const Table& entry : entries)
    readings.push_back(read_reading_entry(entry, names_in(readings), labels));
  return readings;
}

std::vector<SweepClass> read_classes(const std::vector<Table>& entries,
                                     const std::vector<SweepReading>& readings) {
  std::vector<SweepClass> classes;
  for (const Table& entry : entries) {
    const Values values =
        bind_fields(entry, {Field{"if", std::string(), "", {}, {}, {}}}, "[[class]]", {"name"});
    SweepClass read{
        read_name(entry, "[[class]]", names_in(classes)), std::get<std::string>(values.at("if")), {}};
    read.otherwise = !entry.has("if");
    if (!read.otherwise && read.text.find_first_not_of(" \t") == std::string::npos)
      refuse(entry.place("if"), fmt::format("{}: the condition is empty", entry.path("if")));
    read.condition = read_condition(entry, read.text, names_in(readings));
    if (!classes.empty() && classes.back().otherwise)
      refuse(entry.place(),
             fmt::format("no run is of this class: \"{}\" before it has no condition", classes.back().name));
    classes.push_back(std::move(read));
  }
  return classes;
}

std::vector<SweepClaim> read_claims(const std::vector<Table>& entries, const SweepFile& sweep,
                                    const NameList& keys) {
  std::vector<SweepClaim> claims;
  for (const Table& entry : entries) claims.push_back(read_sweep_claim(entry, sweep, keys));
  return claims;
}

std::string sentence(const SweepClaim& claim) {
  std::string text = quantity(claim) + " " + claim.bound;
  for (const auto& [key, values] : claim.where.wanted) {
    std::vector<std::string> texts;
    for (const Value& value : values) texts.push_back(to_string(value));
    text += fmt::format(", {} = {}", key, fmt::join(texts, " or "));
  }
  return text;
}

}  // namespace orrery::engine
