#include "engine/config/expect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>

#include "engine/config/reader.h"
#include "engine/config/scan.h"

namespace orrery::engine {
namespace {

using Kind = Reading::Kind;

const std::vector<std::pair<std::string, Kind>> readings = {
    {"every", Kind::every},
    {"any", Kind::any},
    {"first", Kind::first},
    {"last", Kind::last},
    {"max", Kind::max},
    {"min", Kind::min},
    {"mean", Kind::mean},
    {"fall", Kind::fall},
    {"rise", Kind::rise},
    {"step of max", Kind::step_of_max},
    {"step of min", Kind::step_of_min},
    {"step of steepest fall", Kind::step_of_fall},
    {"step of steepest rise", Kind::step_of_rise},
};

// If two comparisons bound the same side, the tighter one counts.
void narrow(Interval& interval, const std::string& op, double bound) {
  const bool open = op.size() == 1;
  if (op.front() == '>' && (bound > interval.low || (bound == interval.low && open))) {
    interval.low = bound;
    interval.low_open = open;
  }
  if (op.front() == '<' && (bound < interval.high || (bound == interval.high && open))) {
    interval.high = bound;
    interval.high_open = open;
  }
}

void refuse_empty(const Interval& interval, const std::string& what, const std::string& text) {
  const bool open = interval.low_open || interval.high_open;
  if (interval.low > interval.high || (interval.low == interval.high && open))
    throw UsageError(fmt::format("no {} is \"{}\"", what, text));
}

// >= 3 and <= 8
Interval read_interval(Tokens& tokens, const std::string& text) {
  Interval interval;
  while (true) {
    const std::string op = tokens.comparison();
    narrow(interval, op, tokens.number());
    const Token joint = tokens.next();
    if (joint.text.empty()) break;
    if (joint.text != "and") tokens.refuse("\"and\" or the end", joint);
  }
  refuse_empty(interval, "number", text);
  return interval;
}

Interval read_bound(const std::string& text) {
  Tokens tokens(text, "a bound reads >= NUMBER; `and` joins several");
  return read_interval(tokens, text);
}

// step 1000 | step <= 20000; `tokens` are past the word "step".
Interval read_step(Tokens& tokens) {
  Interval steps;
  if (is_operator(tokens.peek())) {
    const std::string op = tokens.comparison();
    narrow(steps, op, double(tokens.step()));
  } else {
    steps.low = steps.high = double(tokens.step());
  }
  tokens.end();
  return steps;
}

std::string read_below(Tokens& tokens) {
  const Token op = tokens.next();
  if (op.text != "<" && op.text != "<=") tokens.refuse("one of <= <", op);
  return op.text;
}

// 500 <= step < 2000
Interval read_step_between(Tokens& tokens) {
  Interval steps;
  steps.low = double(tokens.step());
  steps.low_open = read_below(tokens) == "<";
  if (const Token step = tokens.next(); step.text != "step") tokens.refuse("\"step\"", step);
  const std::string op = read_below(tokens);
  narrow(steps, op, double(tokens.step()));
  tokens.end();
  return steps;
}

RowRange read_rows(const std::string& text) {
  Tokens tokens(text,
                "for example \"end\", \"always\", \"step 1000\", \"step <= 20000\", \"500 <= step <= 2000\"");
  const Token first = tokens.peek();
  RowRange rows;
  if (!first.text.empty() && std::isdigit(static_cast<unsigned char>(first.text.front()))) {
    rows.steps = read_step_between(tokens);
  } else {
    tokens.next();
    rows.end = first.text == "end";
    if (first.text == "step")
      rows.steps = read_step(tokens);
    else if (rows.end || first.text == "always")
      tokens.end();
    else
      tokens.refuse("\"end\", \"always\", \"step\" or a range of steps", first,
                    did_you_mean(first.text, {"end", "always", "step"}));
  }
  refuse_empty(rows.steps, "step", text);
  return rows;
}

Reading read_reading(const std::string& text) {
  Tokens tokens(text, "a threshold reads first step >= NUMBER; `and` joins several");
  std::vector<std::string> words;
  while (!tokens.peek().text.empty() && !is_operator(tokens.peek())) words.push_back(tokens.next().text);
  const std::string name = fmt::format("{}", fmt::join(words, " "));
  if (name == "first step") return {Kind::first_step, read_interval(tokens, text)};
  std::vector<std::string> known;
  for (const auto& [spelling, kind] : readings) {
    if (spelling == name && tokens.peek().text.empty()) return {kind, {}};
    known.push_back(spelling);
  }
  known.push_back("first step");
  const std::string suggestion = did_you_mean(name, known);
  known.back() += " >= NUMBER";
  throw UsageError(
      fmt::format("expected one of {}, got \"{}\"{}", fmt::join(known, " | "), text, suggestion));
}

// Applies `read` to the text `written`; prefixes errors with the place of `key`.
template <class Read>
auto placed(const Table& entry, const std::string& key, const std::string& written, Read&& read) {
  try {
    return read(written);
  } catch (const UsageError& error) {
    refuse(entry.value_place(key), fmt::format("{}: {}", entry.path(key), error.what()), error.hint());
  }
}

void check_metric(const Table& entry, const char* key, const std::string& metric,
                  const std::vector<std::string>& probes) {
  const std::string prefix = "probe/";
  if (!metric.starts_with(prefix)) return;
  const size_t slash = metric.find('/', prefix.size());
  const std::string label = metric.substr(prefix.size(), slash - prefix.size());
  if (slash == std::string::npos || slash + 1 == metric.size() || label.empty())
    refuse(entry.value_place(key),
           fmt::format("{}: expected probe/LABEL/SCALAR, got \"{}\"", entry.path(key), metric));
  if (label.find('*') != std::string::npos) return;
  if (std::find(probes.begin(), probes.end(), label) == probes.end())
    refuse(entry.value_place(key),
           fmt::format("{}: no probe has the label \"{}\"{}", entry.path(key), label,
                       did_you_mean(label, probes)),
           probes.empty() ? "the config has no [[probe]]"
                          : fmt::format("the labels are {}", fmt::join(probes, ", ")));
}

}  // namespace

void check_text(const Table& entry, const std::string& key, const std::string& text) {
  const auto control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (text.find_first_not_of(' ') == std::string::npos || std::any_of(text.begin(), text.end(), control))
    refuse(entry.value_place(key),
           fmt::format("{}: expected one line of text, got {}", entry.path(key), to_string(Value(text))));
}

void read_question(const Table& entry, Expectation& e, const std::vector<std::string>* probes) {
  if (!entry.has("when")) e.when = e.of != "every" ? "always" : "end";
  for (const auto& [key, text] : {std::pair("metric", e.metric), {"when", e.when}, {"of", e.of}})
    if (entry.has(key)) check_text(entry, key, text);
  if (probes) check_metric(entry, "metric", e.metric, *probes);
  if (!e.minus.empty()) check_text(entry, "minus", e.minus);
  if (e.minus.find('*') != std::string::npos)
    refuse(entry.value_place("minus"),
           fmt::format("{}: name one metric; only `metric` may have a `*`", entry.path("minus")));
  if (probes) check_metric(entry, "minus", e.minus, *probes);
  e.rows = placed(entry, "when", e.when, read_rows);
  e.reading = placed(entry, "of", e.of, read_reading);
  if (e.rows.single() && e.reading.kind != Kind::every)
    refuse(entry.value_place("of"),
           fmt::format("{}: \"{}\" is asked of several rows, but when = \"{}\" is one", entry.path("of"),
                       e.of, e.when),
           "leave out one of the two");
}

Interval read_claim(const Table& entry, const std::string& claim) {
  const std::string bound =
      required_text(entry, "bound", "[[expect]]", "what the number has to be", "for example \">= 0.99\"");
  const std::string source =
      required_text(entry, "source", "[[expect]]", "where in the literature the bound comes from",
                    "for example \"Nanda et al. 2023, fig. 2\"");
  check_text(entry, "bound", bound);
  check_text(entry, "source", source);
  if (!claim.empty()) check_text(entry, "claim", claim);
  return placed(entry, "bound", bound, read_bound);
}

namespace {

Expectation read_expectation(const Table& entry, const std::vector<std::string>& probes) {
  const Fields<Expectation> fields = fields_of<Expectation>();
  Expectation e = fields.make(bind_fields(entry, fields.list(), "[[expect]]"));
  required_text(entry, "metric", "[[expect]]", "the number to look at", "for example \"test/accuracy\"");
  e.wanted = read_claim(entry, e.claim);
  read_question(entry, e, &probes);
  e.metric_at.place = entry.value_place("metric");
  if (entry.has("minus")) e.minus_at.place = entry.value_place("minus");
  e.when_at.place = entry.has("when") ? entry.value_place("when") : entry.place();
  return e;
}

// The quantity that `bound` bounds.
std::string subject(const Expectation& e) {
  const std::string metric = e.minus.empty() ? e.metric : fmt::format("{} - {}", e.metric, e.minus);
  if (e.reading.kind == Kind::every || e.reading.kind == Kind::any) return metric;
  if (e.reading.kind != Kind::first_step) return fmt::format("{} of {}", e.of, metric);
  return fmt::format("first step with {} {}", metric, e.of.substr(e.of.find_first_of("<>")));
}

std::string rows_text(const Expectation& e) {
  if (e.rows.end) return " at the end";
  if (e.rows.single()) return " at " + e.when;
  if (e.rows.steps != Interval{}) return ", " + e.when;
  return e.reading.kind == Kind::every ? " always" : "";
}

}  // namespace

bool Interval::contains(double value) const {
  return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
}

double Interval::margin(double value) const {
  double margin = std::numeric_limits<double>::infinity();
  if (std::isfinite(low)) margin = value - low;
  if (std::isfinite(high)) margin = std::min(margin, high - value);
  return margin;
}

void Expectation::fields(Fields<Expectation>& f) {
  using E = Expectation;
  f.add("metric", &E::metric,
        "a column of metrics.jsonl, probe/LABEL/SCALAR, or "
        "probe/LABEL/null/SCALAR and .../conclusion/SCALAR; `*` for any characters");
  f.add("minus", &E::minus, "another metric, which is subtracted in each row; empty: none");
  f.add("when", &E::when, "which rows: end, always, step N or a range of steps");
  f.add("of", &E::of, "what is asked of the rows: every, any, max, first step >= NUMBER, ...");
  f.add("bound", &E::bound, "what it has to be, e.g. \">= 0.99\"");
  f.add("claim", &E::claim, "what the text says, in one sentence; empty: nothing");
  f.add("source", &E::source, "where in the literature the bound comes from");
}

void VerifySettings::fields(Fields<VerifySettings>& f) {
  f.add("tier", &VerifySettings::tier, "with which others it is verified, by the time they take")
      .one_of({"quick", "standard", "full"});
}

std::vector<Expectation> read_expectations(const std::vector<Table>& entries,
                                           const std::vector<std::string>& probes) {
  std::vector<Expectation> expectations;
  for (const Table& entry : entries) expectations.push_back(read_expectation(entry, probes));
  return expectations;
}

std::string cited(const std::string& source, const std::string& claim) {
  return claim.empty() ? source : fmt::format("{}: {}", source, claim);
}

std::string sentence(const Expectation& e) {
  const bool is_any = e.reading.kind == Kind::any;
  const bool names_a_step = e.reading.kind >= Kind::first_step;
  return fmt::format("{}{} {}{}{}", subject(e), names_a_step ? ":" : "", e.bound, is_any ? " once" : "",
                     rows_text(e));
}

}  // namespace orrery::engine
