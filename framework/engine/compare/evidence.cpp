#include "engine/compare/evidence.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/hooks.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <sstream>

namespace orrery::engine {
namespace {

template <class T>
T field(const Finding& finding, const std::string& name) {
  const auto found = finding.fields.find(name);
  if (found == finding.fields.end()) return {};
  if constexpr (std::is_same_v<T, std::vector<double>>) {
    // On disk an empty list of reals looks like one of integers, and so do round numbers.
    if (const auto* whole = std::get_if<std::vector<int64_t>>(&found->second))
      return {whole->begin(), whole->end()};
  }
  if constexpr (std::is_same_v<T, double>) {
    if (const auto* whole = std::get_if<int64_t>(&found->second)) return static_cast<double>(*whole);
  }
  const auto* value = std::get_if<T>(&found->second);
  return value ? *value : T{};
}

const double* scalar(const Record& record, const std::string& name) {
  for (const auto& [known, value] : record.scalars)
    if (known == name) return &value;
  return nullptr;
}

bool is_selected(const Record& record, const std::string& name) {
  return std::find(record.headlines.begin(), record.headlines.end(), name) != record.headlines.end() ||
         matches("gini/W_*", name) || matches("explained/*", name);
}

bool is_count(const std::string& name) { return name.starts_with("n_") || name.find("/n_") != name.npos; }
bool is_score(double value) { return std::abs(value) <= 1; }

Scale scale_of(const std::string& name, double value, const double* null) {
  if (is_count(name)) return Scale::none;
  if (name.find("loss") != name.npos) return Scale::loss;
  return is_score(value) && (!null || is_score(*null)) ? Scale::share : Scale::none;
}

// Collects the features of one record.
class Reader {
 public:
  Reader(const Record& record, const Record* null, const RecordSource& source, Signature& signature)
      : record_(record), null_(null), source_(source), signature_(signature) {}

  void read() {
    signature_.questions.insert(source_.question);
    for (const auto& [name, value] : record_.scalars)
      if (is_selected(record_, name))
        add(name, source_.label, scale_of(name, value, null_ ? scalar(*null_, name) : nullptr), value);
    for (const Finding& finding : record_.findings) {
      if (finding.kind == "key_frequencies") key_frequencies(finding);
      if (finding.kind == "key_representations") key_representations(finding);
      if (finding.kind == "efficiency") efficiency(finding);
      if (finding.kind == "phase_change") phase_change(finding);
    }
    head_roles();
    ablations();
  }

 private:
  Feature& add(const std::string& name, const std::string& group, Scale scale, double value,
               std::string shown = "") {
    signature_.features.push_back({name, group, source_.question, scale, value, {}, std::move(shown)});
    return signature_.features.back();
  }

  void keys(const std::string& what, const std::vector<std::string>& names, const std::vector<double>& shares,
            const std::string& of) {
    std::vector<size_t> order(names.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return shares[a] > shares[b]; });
    std::vector<std::string> sorted;
    for (const size_t i : order) sorted.push_back(names[i]);
    const auto finding = [&](const std::string& stem, Scale scale, double value) -> Feature& {
      Feature& made = add(fmt::format("{} ({})", stem, source_.label), what, scale, value);
      made.stem = stem;
      return made;
    };
    Feature& by_share = finding(what + ", by share", Scale::shares, static_cast<double>(names.size()));
    by_share.parts = sorted_parts(shares);
    by_share.shown = sorted.empty() ? "none" : fmt::format("{} of {}", fmt::join(sorted, ", "), of);
    finding(what + ", together", Scale::share, std::accumulate(shares.begin(), shares.end(), 0.0));
  }

  void key_frequencies(const Finding& finding) {
    std::vector<std::string> names;
    for (const int64_t k : field<std::vector<int64_t>>(finding, "frequencies"))
      names.push_back(std::to_string(k));
    auto shares = field<std::vector<double>>(finding, "shares");
    shares.resize(names.size());
    keys("key frequencies", names, shares, std::to_string(field<int64_t>(finding, "order")));
  }

  void key_representations(const Finding& finding) {
    const auto names = field<std::vector<std::string>>(finding, "representations");
    auto shares = field<std::vector<double>>(finding, "shares");
    shares.resize(names.size());
    keys("key representations", names, shares, field<std::string>(finding, "group"));
  }

  void efficiency(const Finding& finding) {
    const double c_gen = field<double>(finding, "c_gen"), c_mem = field<double>(finding, "c_mem");
    const double norm = field<double>(finding, "parameter_norm"), size = std::abs(c_gen) + std::abs(c_mem);
    if (size > 0) add("C_gen, of the correct logit", "efficiency", Scale::share, c_gen / size);
    add("C_gen (nats)", "efficiency", Scale::none, c_gen);
    add("C_mem (nats)", "efficiency", Scale::none, c_mem);
    if (c_gen + c_mem > 0) add("parameter norm per logit", "efficiency", Scale::none, norm / (c_gen + c_mem));
  }

  void phase_change(const Finding& finding) {
    const double step = field<double>(finding, "step"), fraction = field<double>(finding, "fraction");
    const auto curve = field<std::string>(finding, "curve"),
               boundary = field<std::string>(finding, "boundary");
    const std::string name = boundary == "fall" ? curve + " begins to fall" : curve + ": end of " + boundary;
    const auto same = [&](const Feature& known) { return known.name.starts_with(name); };
    const auto times = std::count_if(signature_.features.begin(), signature_.features.end(), same);
    add(times > 0 ? fmt::format("{} ({})", name, times + 1) : name, "phase changes", Scale::none, step,
        fmt::format("{:.3g} of the run", fraction));
  }

  void head_roles() {
    std::map<std::string, std::pair<double, std::vector<std::string>>> roles;
    for (const Finding& finding : record_.findings) {
      if (finding.kind != "head_role") continue;
      auto& [best, heads] = roles[field<std::string>(finding, "role")];
      best = std::max(best, field<double>(finding, "score"));
      heads.push_back(
          fmt::format("{}.{}", field<int64_t>(finding, "layer"), field<int64_t>(finding, "head")));
    }
    for (const auto& [role, found] : roles)
      add(role + " heads, best score", "head roles", Scale::share, found.first,
          fmt::format("head {}", fmt::join(found.second, ", ")))
          .zero_if_absent = true;
  }

  // "the representation standard (4,1)" -> "the representation": a name does not make a different feature.
  static std::string kind_of(const std::string& component) {
    constexpr std::array nouns = {"head", "frequency", "representation", "neuron", "direction"};
    std::istringstream words(component);
    std::string kind;
    for (std::string word; words >> word;) {
      kind += (kind.empty() ? "" : " ") + word;
      if (std::find(nouns.begin(), nouns.end(), word) != nouns.end()) return "one " + word;
    }
    return kind;
  }

  void ablations() {
    struct Worst {
      std::string stem;
      double loss;
      std::string component;
    };
    std::map<std::string, Worst> worst;
    for (const Finding& finding : record_.findings) {
      if (finding.kind != "ablation") continue;
      const auto component = field<std::string>(finding, "component");
      const double after = field<double>(finding, "loss_after");
      const std::string stem = "loss without " + kind_of(component);
      const std::string name = fmt::format("{} ({}, {})", stem, field<std::string>(finding, "mode"),
                                           field<std::string>(finding, "inputs"));
      Worst& found = worst.try_emplace(name, Worst{stem, after, component}).first->second;
      if (after > found.loss) found = {stem, after, component};
    }
    for (const auto& [name, found] : worst)
      add(name, "ablations", Scale::loss, found.loss,
          found.stem.starts_with("loss without one ") ? "at most: " + found.component : "")
          .stem = found.stem;
  }

  const Record& record_;
  const Record* null_;
  const RecordSource& source_;
  Signature& signature_;
};

}  // namespace

void add_evidence(const Record& record, const Record* null, const RecordSource& source,
                  Signature& signature) {
  Reader(record, null, source, signature).read();
}

Overlap overlap(const KeyFrequencySet& a, const KeyFrequencySet& b) {
  const auto common = std::count_if(a.frequencies.begin(), a.frequencies.end(),
                                    [&](int64_t k) { return b.frequencies.contains(k); });
  const double all = std::max<double>(1, static_cast<double>(a.order / 2));
  return {static_cast<size_t>(common),
          static_cast<double>(a.frequencies.size()) * static_cast<double>(b.frequencies.size()) / all};
}

std::optional<KeyFrequencySet> key_frequencies_of(const Record& record) {
  for (const Finding& finding : record.findings) {
    if (finding.kind != "key_frequencies") continue;
    const auto frequencies = field<std::vector<int64_t>>(finding, "frequencies");
    return KeyFrequencySet{field<int64_t>(finding, "order"), {frequencies.begin(), frequencies.end()}};
  }
  return std::nullopt;
}

}  // namespace orrery::engine
