#include "engine/sweep/judge_sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/sweep/bootstrap.h"
#include "engine/sweep/judge_parts.h"
#include "engine/sweep/spearman.h"

namespace orrery::engine {
namespace {

ChosenRows choose(const std::vector<SweepRow>& rows, const SweepPart& where) {
  ChosenRows chosen;
  for (const SweepRow& row : rows)
    if (where.holds(row.run->values())) chosen.push_back(&row);
  return chosen;
}

// Whether there is a number, or none within the steps of the run.
bool is_read(const ReadingValue& value) {
  return value.value ? std::isfinite(*value.value) : value.censored_at.has_value();
}

// The index of the reading called `name`; -1 if there is none.
int reading_called(const SweepFile& file, const std::string& name) {
  for (size_t i = 0; i < file.readings.size(); ++i)
    if (file.readings[i].name == name) return static_cast<int>(i);
  return -1;
}

// The first reading of `row` that could not be read, and on which its class depends; null if there is none.
const ReadingValue* unread_in(const SweepFile& file, const SweepRow& row) {
  for (const SweepClass& each : file.classes)
    for (const std::string& name : each.condition.metrics()) {
      const int reading = reading_called(file, name);
      if (reading >= 0 && !is_read(row.readings[static_cast<size_t>(reading)]))
        return &row.readings[static_cast<size_t>(reading)];
    }
  return nullptr;
}

constexpr int no_reading = -2;

// Why a claim over `rows` cannot be judged, or "". `reading` is an index, -1 for a claim about classes, or
// no_reading.
std::string unjudgeable(const SweepFile& file, const ChosenRows& rows, int reading) {
  if (rows.empty()) return "no run is of this part";
  size_t unfinished = 0, failed = 0, unread = 0, damaged = 0, without = 0;
  std::string why, damage;
  for (const SweepRow* row : rows) {
    if (row->status.state == SweptState::damaged) {
      ++damaged;
      damage = fmt::format("run {} is damaged ({}); `orrery sweep run` makes it anew", row->run->id,
                           row->status.error);
    } else if (row->status.state == SweptState::failed || row->status.state == SweptState::blocked) {
      // A share counts those that diverged; a crash says nothing about the network.
      if (reading == -1 && row->status.diverged) continue;
      ++failed;
      why = row->status.error;
    } else if (row->status.state != SweptState::done) {
      ++unfinished;
    } else if (reading != no_reading) {
      const ReadingValue* value =
          reading < 0 ? unread_in(file, *row) : &row->readings[static_cast<size_t>(reading)];
      if (!value || is_read(*value)) continue;
      if (value->no_test_set) {
        ++without;
        continue;
      }
      ++unread;
      why = value->value ? number_text(*value->value) : value->why;
    }
  }
  if (damaged > 0) return damage;
  if (unfinished > 0) return fmt::format("{} of {} runs are not done", unfinished, rows.size());
  if (failed > 0) return fmt::format("{} of {} runs failed or could not start: {}", failed, rows.size(), why);
  if (without > 0)
    return fmt::format("{} of {} runs have no test set; leave them out by `where`", without, rows.size());
  if (unread > 0) return fmt::format("no reading in {} of {} runs: {}", unread, rows.size(), why);
  return "";
}

std::string end_text(double value, double last) {
  return std::isinf(value) ? fmt::format("beyond {}", number_text(last)) : number_text(value);
}

void judge_share(const SweepClaim& claim, const ChosenRows& rows, SweepVerdict& verdict) {
  const auto hits = static_cast<size_t>(std::count_if(
      rows.begin(), rows.end(), [&](const SweepRow* row) { return row->name_of_class == claim.subject; }));
  const double share = static_cast<double>(hits) / static_cast<double>(rows.size());
  const Bounds bounds = wilson_interval(hits, rows.size());
  verdict.passed = claim.wanted.contains(share);
  const auto diverged =
      std::count_if(rows.begin(), rows.end(), [](const SweepRow* row) { return row->status.diverged; });
  verdict.got = fmt::format("{} ({} of {}{})", bounded_text(share, claim.wanted), hits, rows.size(),
                            diverged > 0 ? fmt::format("; {} diverged", diverged) : "");
  verdict.interval = fmt::format("{:.3g} to {:.3g}", bounds.low, bounds.high);
}

void judge_quantile(const SweepClaim& claim, const ChosenRows& rows, size_t reading, SweepVerdict& verdict) {
  const std::vector<Observation> all = observations(rows, reading);
  const Quantile quantile = survival_quantile(all, claim.q);
  double last = -infinity;
  for (const Observation& each : all) last = std::max(last, each.value);
  // All that is known of one beyond the end is that it is larger.
  verdict.passed =
      claim.wanted.contains(quantile.value) && (!quantile.beyond || std::isinf(claim.wanted.high));
  verdict.got = (quantile.beyond ? "beyond " + number_text(quantile.value)
                                 : bounded_text(quantile.value, claim.wanted)) +
                censored_text(all);
  const auto bounds = bootstrap_interval(all.size(), [&](const std::vector<size_t>& sample) {
    std::vector<Observation> drawn;
    for (const size_t i : sample) drawn.push_back(all[i]);
    const Quantile of_sample = survival_quantile(std::move(drawn), claim.q);
    return std::optional(of_sample.beyond ? infinity : of_sample.value);
  });
  if (bounds)
    verdict.interval = fmt::format("{} to {}", end_text(bounds->low, last), end_text(bounds->high, last));
}

// Why the runs cannot be ranked: those that never came are last only if they were looked at for as long as
// the others took. "" if they can.
std::string unrankable(const ChosenRows& rows, size_t reading, const std::string& name) {
  double latest = -infinity, least = infinity;
  size_t never = 0;
  const std::vector<Observation> all = observations(rows, reading);
  for (const Observation& each : all)
    if (!each.censored) latest = std::max(latest, each.value);
  for (const Observation& each : all) {
    if (!each.censored || each.value >= latest) continue;
    ++never;
    least = std::min(least, each.value);
  }
  if (never == 0) return "";
  return fmt::format(
      "not known: {} run{} without {} {} looked at up to step {:.0f} only, and in others it "
      "came as late as {}",
      never, never == 1 ? "" : "s", name, never == 1 ? "was" : "were", least, number_text(latest));
}

// `given`: the reading that is held fixed, or -1.
void judge_order(const SweepClaim& claim, const ChosenRows& rows, size_t reading, int given,
                 SweepVerdict& verdict) {
  if (rows.size() < 3) {
    verdict.got = "a rank correlation needs three runs: that of two is 1 or -1, whatever they are";
    return;
  }
  verdict.got = unrankable(rows, reading, claim.subject);
  if (verdict.got.empty() && given >= 0)
    verdict.got = unrankable(rows, static_cast<size_t>(given), claim.other);
  if (!verdict.got.empty()) return;
  std::vector<double> x, y, z;
  const auto correlation = [&](const std::vector<double>& x, const std::vector<double>& y,
                               const std::vector<double>& z) {
    return given < 0 ? spearman(x, y) : partial_spearman(x, y, z);
  };
  for (const SweepRow* row : rows) {
    const auto at = coordinate(*row, claim.along);
    if (!at) {
      verdict.got = fmt::format("{} is not a number in run {}", claim.along, row->run->id);
      return;
    }
    x.push_back(*at);
    y.push_back(row->readings[reading].value.value_or(infinity));
    if (given >= 0) z.push_back(row->readings[static_cast<size_t>(given)].value.value_or(infinity));
  }
  const auto rho = correlation(x, y, z);
  if (!rho) {
    verdict.got = given < 0 ? fmt::format("{} or {} is the same in every run", claim.along, claim.subject)
                            : fmt::format(
                                  "{}, {} or {} is the same in every run, or {} orders the runs as one of "
                                  "the others does",
                                  claim.along, claim.subject, claim.other, claim.other);
    return;
  }
  verdict.passed = claim.wanted.contains(*rho);
  verdict.got = bounded_text(*rho, claim.wanted) + censored_text(observations(rows, reading));
  const auto bounds = bootstrap_interval(x.size(), [&](const std::vector<size_t>& sample) {
    std::vector<double> some_x, some_y, some_z;
    for (const size_t i : sample) {
      some_x.push_back(x[i]);
      some_y.push_back(y[i]);
      if (given >= 0) some_z.push_back(z[i]);
    }
    return correlation(some_x, some_y, some_z);
  });
  if (bounds) verdict.interval = fmt::format("{} to {}", number_text(bounds->low), number_text(bounds->high));
}

SweepVerdict judge_claim(const SweepPlan& plan, const std::vector<SweepRow>& rows, const SweepClaim& claim) {
  using Kind = SweepClaim::Kind;
  const ChosenRows chosen = choose(rows, claim.where);
  SweepVerdict verdict{&claim, false, "", "", chosen.size()};
  const bool of_reading = claim.kind != Kind::share && !claim.of_curves();
  const int reading = of_reading ? reading_called(plan.file, claim.subject) : -1,
            other = reading_called(plan.file, claim.other);
  const auto index = static_cast<size_t>(reading), with = static_cast<size_t>(other);
  verdict.got = unjudgeable(plan.file, chosen, claim.of_curves() ? no_reading : reading);
  if (verdict.got.empty() && other >= 0) verdict.got = unjudgeable(plan.file, chosen, other);
  if (!verdict.got.empty()) return verdict;
  switch (claim.kind) {
    case Kind::share:
      judge_share(claim, chosen, verdict);
      break;
    case Kind::quantile:
      judge_quantile(claim, chosen, index, verdict);
      break;
    case Kind::spread:
      judge_spread(claim, chosen, index, verdict);
      break;
    case Kind::order:
      judge_order(claim, chosen, index, other, verdict);
      break;
    case Kind::rising:
    case Kind::falling:
      judge_monotone(claim, chosen, index, verdict);
      break;
    case Kind::equal:
      judge_equal(claim, chosen, reading, verdict);
      break;
    case Kind::below:
      judge_below(claim, chosen, index, with, verdict);
      break;
    case Kind::difference:
      judge_difference(claim, chosen, index, with, verdict);
      break;
  }
  return verdict;
}

}  // namespace

std::string number_text(double value) { return fmt::format("{:.4g}", value); }

std::string bounded_text(double value, const Interval& wanted) {
  const std::string text = number_text(value);
  return wanted.contains(std::stod(text)) == wanted.contains(value) ? text : fmt::format("{}", value);
}

std::vector<Observation> observations(const ChosenRows& rows, size_t reading) {
  std::vector<Observation> all;
  for (const SweepRow* row : rows) {
    const ReadingValue& value = row->readings[reading];
    all.push_back(value.value ? Observation{*value.value}
                              : Observation{static_cast<double>(*value.censored_at), true});
  }
  return all;
}

std::string censored_text(const std::vector<Observation>& all) {
  const auto never = std::count_if(all.begin(), all.end(), [](const Observation& o) { return o.censored; });
  return never == 0 ? "" : fmt::format(" ({} of {} never)", never, all.size());
}

std::optional<double> coordinate(const SweepRow& row, const std::string& key) {
  for (const Override& each : row.run->point.coordinates()) {
    if (each.key != key) continue;
    if (const auto* integer = std::get_if<int64_t>(&each.value)) return static_cast<double>(*integer);
    if (const auto* real = std::get_if<double>(&each.value)) return *real;
  }
  return std::nullopt;
}

Quantile known_quantile(const std::vector<Observation>& all, const std::vector<size_t>& indices, double q) {
  std::vector<Observation> some;
  for (const size_t i : indices) some.push_back(all[i]);
  return survival_quantile(std::move(some), q);
}

double quantile_of(const std::vector<Observation>& all, const std::vector<size_t>& indices, double q) {
  const Quantile quantile = known_quantile(all, indices, q);
  return quantile.beyond ? infinity : quantile.value;
}

std::vector<size_t> all_of(size_t n) {
  std::vector<size_t> indices(n);
  std::iota(indices.begin(), indices.end(), size_t{0});
  return indices;
}

std::string interval_text(const std::optional<Bounds>& bounds) {
  if (!bounds) return "";
  const auto end = [](double value) {
    return std::isinf(value) ? (value > 0 ? "beyond the end" : "-infinity") : number_text(value);
  };
  return fmt::format("{} to {}", end(bounds->low), end(bounds->high));
}

std::map<double, std::vector<size_t>> by_number(const ChosenRows& rows, const std::string& key,
                                                std::string& why) {
  std::map<double, std::vector<size_t>> groups;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto at = coordinate(*rows[i], key);
    if (!at) {
      why = fmt::format("{} is not a number in run {}", key, rows[i]->run->id);
      return {};
    }
    groups[*at].push_back(i);
  }
  if (groups.size() < 2) why = fmt::format("{} is the same in every run", key);
  return groups;
}

std::vector<SweepVerdict> judge_sweep(const SweepPlan& plan, const std::vector<SweepRow>& rows) {
  std::vector<SweepVerdict> verdicts;
  for (const SweepClaim& claim : plan.file.claims) verdicts.push_back(judge_claim(plan, rows, claim));
  return verdicts;
}

}  // namespace orrery::engine
