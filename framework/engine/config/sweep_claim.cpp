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

void refuse_unnamed(const Table& entry, const std::string& key, const std::string& name,
                    const std::string& kind, const NameList& known) {
  if (std::find(known.begin(), known.end(), name) != known.end()) return;
  refuse(
      entry.value_place(key),
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
    if (field.name != "bound" && field.name != "claim" && field.name != "source") asked.push_back(field);
  Expectation question = fields.make(bind_fields(entry, asked, "[[reading]]", {"name"}));
  SweepReading reading{read_word(entry, "[[reading]]", taken), {}, "", "", ""};
  required_text(entry, "metric", "[[reading]]", "the number to look at", "for example \"test/accuracy\"");
  if (question.metric.find('*') != std::string::npos)
    refuse(entry.value_place("metric"),
           fmt::format("{}: a reading is one number; name one metric", entry.path("metric")));
  read_question(entry, question, labels);
  const auto kind = question.reading.kind;
  if (kind == Reading::Kind::any || (kind == Reading::Kind::every && !question.rows.single()))
    refuse(entry.value_place("of"),
           fmt::format("{}: a reading is one number, not {} row", entry.path("of"),
                       kind == Reading::Kind::any ? "any" : "every"),
           "say which: of = \"last\", \"max\", \"min\", \"mean\", \"first step >= NUMBER\", ...");
  reading.question = std::move(question);
  reading.metric_place = entry.value_place("metric");
  reading.minus_place = entry.value_place("minus");
  reading.when_place = entry.value_place("when");
  return reading;
}

Condition read_condition(const Table& entry, const std::string& text, const NameList& readings) {
  Condition condition;
  try {
    condition = Condition::parse(text);
  } catch (const UsageError& error) {
    refuse(entry.value_place("if"), fmt::format("{}: {}", entry.path("if"), error.what()), error.hint());
  }
  for (const std::string& name : condition.metrics()) refuse_unnamed(entry, "if", name, "reading", readings);
  return condition;
}

struct ClaimKey {
  const char* key;
  SweepClaim::Kind kind;
};
constexpr ClaimKey claim_keys[] = {
    {"share", SweepClaim::Kind::share},       {"median", SweepClaim::Kind::quantile},
    {"quantile", SweepClaim::Kind::quantile}, {"order", SweepClaim::Kind::order},
    {"spread", SweepClaim::Kind::spread},     {"rising", SweepClaim::Kind::rising},
    {"falling", SweepClaim::Kind::falling},   {"equal", SweepClaim::Kind::equal},
    {"below", SweepClaim::Kind::below},       {"difference", SweepClaim::Kind::difference}};

// Keys that go with some of those only.
struct FurtherKey {
  const char* key;
  std::vector<std::string> with;
  bool required;
  const char* means;
};
const std::vector<FurtherKey>& further_keys() {
  static const std::vector<FurtherKey> all = {
      {"q", {"quantile"}, true, "for example q = 0.9"},
      {"middle", {"spread"}, false, ""},
      {"along", {"order", "rising", "falling"}, true, "the key that the runs differ in"},
      {"along", {"equal"}, false, ""},
      {"across", {"equal"}, true, "the key that makes the groups"},
      {"given", {"order"}, false, ""},
      {"than", {"below"}, true, "the reading it is compared with"},
      {"minus", {"difference"}, true, "the reading whose median is subtracted"}};
  return all;
}

// Which of them it is.
ClaimKey read_kind(const Table& entry) {
  const ClaimKey* found = nullptr;
  std::vector<std::string> names;
  for (const ClaimKey& each : claim_keys) {
    names.push_back(each.key);
    if (!entry.has(each.key)) continue;
    if (found)
      refuse(entry.place(each.key), fmt::format("one entry claims a {} and a {}", found->key, each.key));
    found = &each;
  }
  if (!found)
    refuse(entry.place(),
           fmt::format("[[expect]] of a sweep needs one of the keys {}", fmt::join(names, ", ")),
           "for example share = \"groks\"");
  return *found;
}

void check_further(const Table& entry, const std::string& kind) {
  for (const FurtherKey& each : further_keys()) {
    const auto goes_with = [&](const FurtherKey& other) {
      return std::string(other.key) == each.key && std::count(other.with.begin(), other.with.end(), kind) > 0;
    };
    const bool fits = std::any_of(further_keys().begin(), further_keys().end(), goes_with);
    if (entry.has(each.key) && !fits)
      refuse(entry.place(each.key), fmt::format("{} belongs to {}, not to {}", entry.path(each.key),
                                                fmt::join(each.with, " or "), kind));
    if (goes_with(each) && each.required && !entry.has(each.key))
      refuse(entry.place(kind), fmt::format("{} needs {}, {}", kind, each.key, each.means));
  }
}

// A share, or a rank correlation, that no set of runs can have.
void refuse_impossible(const Table& entry, const SweepClaim& claim) {
  using Kind = SweepClaim::Kind;
  const bool is_share = claim.kind == Kind::share || claim.kind == Kind::below;
  if (!is_share && claim.kind != Kind::order) return;
  const double least = is_share ? 0 : -1;
  if (claim.wanted.low <= 1 && claim.wanted.high >= least) return;
  refuse(entry.value_place("bound"),
         fmt::format("{}: {} is never {}: it is from {} to 1", entry.path("bound"),
                     is_share ? "a share" : "a rank correlation", claim.bound, least));
}

SweepClaim read_sweep_claim(const Table& entry, const SweepFile& sweep) {
  std::vector<Field> fields = {{"q", 0.5, "", 0.0, 1.0, {}}, {"middle", 0.5, "", 0.0, 1.0, {}}};
  for (const char* name : {"along", "across", "given", "than", "minus", "bound", "claim", "source"})
    fields.push_back({name, std::string(), "", {}, {}, {}});
  for (const ClaimKey& each : claim_keys) fields.push_back({each.key, std::string(), "", {}, {}, {}});
  const Values values = bind_fields(entry, fields, "[[expect]]", {"where"});
  const auto text = [&](const char* name) { return std::get<std::string>(values.at(name)); };
  const ClaimKey kind = read_kind(entry);
  check_further(entry, kind.key);
  SweepClaim claim;
  claim.kind = kind.kind;
  claim.subject = text(kind.key);
  claim.subject_place = entry.value_place(kind.key);
  claim.claim = text("claim");
  claim.wanted = read_claim(entry, claim.claim);
  claim.bound = text("bound");
  claim.source = text("source");
  refuse_impossible(entry, claim);
  claim.where = read_part(entry.table("where"));
  claim.q = std::get<double>(values.at(entry.has("middle") ? "middle" : "q"));
  claim.along = text("along");
  claim.across = text("across");
  for (const char* name : {"along", "across"})
    if (entry.has(name) && !(claim.of_curves() && claim.along == text(name)))
      claim.swept.push_back({text(name), entry.path(name), entry.value_place(name)});
  if (claim.kind == SweepClaim::Kind::share) {
    refuse_unnamed(entry, kind.key, claim.subject, "class", names_in(sweep.classes));
    return claim;
  }
  if (!claim.of_curves()) refuse_unnamed(entry, kind.key, claim.subject, "reading", names_in(sweep.readings));
  for (const char* name : {"given", "than", "minus"})
    if (entry.has(name)) {
      claim.other = text(name);
      refuse_unnamed(entry, name, claim.other, "reading", names_in(sweep.readings));
    }
  return claim;
}

std::string quantity(const SweepClaim& claim) {
  const std::string& subject = claim.subject;
  switch (claim.kind) {
    case SweepClaim::Kind::share:
      return "share of " + subject;
    case SweepClaim::Kind::quantile:
      return claim.q == 0.5 ? "median of " + subject : fmt::format("{}-quantile of {}", claim.q, subject);
    case SweepClaim::Kind::spread:
      return fmt::format("range of {} in the middle {:g} % of runs", subject, 100 * claim.q);
    case SweepClaim::Kind::order:
      return fmt::format("rank correlation of {} with {}{}", subject, claim.along,
                         claim.other.empty() ? "" : " at equal " + claim.other);
    case SweepClaim::Kind::rising:
    case SweepClaim::Kind::falling:
      return fmt::format("least {} of the median of {} along {}",
                         claim.kind == SweepClaim::Kind::rising ? "rise" : "fall", subject, claim.along);
    case SweepClaim::Kind::equal:
      return fmt::format("largest difference of the mean {} across {}{}", subject, claim.across,
                         claim.along.empty() ? "" : " along " + claim.along);
    case SweepClaim::Kind::below:
      return fmt::format("share with {} below {}", subject, claim.other);
    case SweepClaim::Kind::difference:
      return fmt::format("median of {} less that of {}", subject, claim.other);
  }
  return subject;
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
        read_word(entry, "[[class]]", names_in(classes)), std::get<std::string>(values.at("if")), {}};
    read.otherwise = !entry.has("if");
    if (!read.otherwise && read.text.find_first_not_of(" \t") == std::string::npos)
      refuse(entry.value_place("if"), fmt::format("{}: the condition is empty", entry.path("if")));
    read.condition = read_condition(entry, read.text, names_in(readings));
    if (!classes.empty() && classes.back().otherwise)
      refuse(entry.place(),
             fmt::format("no run is of this class: \"{}\" before it has no condition", classes.back().name));
    classes.push_back(std::move(read));
  }
  return classes;
}

std::vector<SweepClaim> read_claims(const std::vector<Table>& entries, const SweepFile& sweep) {
  std::vector<SweepClaim> claims;
  for (const Table& entry : entries) claims.push_back(read_sweep_claim(entry, sweep));
  return claims;
}

std::string sentence(const SweepClaim& claim) {
  std::string text = quantity(claim) + " " + claim.bound;
  for (const SweepPart::Wanted& each : claim.where.wanted) {
    std::vector<std::string> texts;
    for (const Value& value : each.values) texts.push_back(to_string(value));
    text += fmt::format(", {} = {}", each.key, fmt::join(texts, " or "));
  }
  return text;
}

}  // namespace orrery::engine
