#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/interchange.h>
#include <orrery/subspace.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "sdk/analysis/interchange_site.h"

namespace orrery {
namespace {

using namespace interchanging;
using torch::Tensor;

constexpr int64_t kMostPairs = int64_t{1} << 24;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// One hypothesis, with the places it exchanges.
struct Exchange {
  const Hypothesis* hypothesis;
  std::vector<Slice> slices;  // none: the logits
};

UsageError about(const Hypothesis& hypothesis, const UsageError& error) {
  return UsageError(fmt::format("hypothesis \"{}\": {}", hypothesis.name, error.what()), error.hint());
}

std::vector<Exchange> exchanges_of(const Model& model, const TaskSpec& spec,
                                   const std::vector<Hypothesis>& hypotheses) {
  std::vector<Exchange> all;
  for (const Hypothesis& hypothesis : hypotheses) try {
      if (hypothesis.directions.defined()) {
        try {
          OverFeatures{hypothesis.directions};
        } catch (const Error& error) {
          throw UsageError(error.what(), error.hint());
        }
      }
      all.push_back({&hypothesis, slices_of(model, hypothesis.site, spec)});
    } catch (const UsageError& error) {
      throw about(hypothesis, error);
    }
  return all;
}

std::vector<std::string> hooks_of(const std::vector<Exchange>& exchanges) {
  std::vector<std::string> hooks;
  for (const Exchange& exchange : exchanges)
    for (const Slice& slice : exchange.slices) hooks.push_back(slice.hook());
  std::sort(hooks.begin(), hooks.end());
  hooks.erase(std::unique(hooks.begin(), hooks.end()), hooks.end());
  return hooks;
}

// Sums over labels that count.
struct Tally {
  int64_t counted = 0, right = 0, kept = 0;
  double after = 0, before = 0;

  void add(const Tensor& logits, const Tensor& plain, const Tensor& counterfactual, const Tensor& own,
           const Tensor& counts) {
    const Tensor where = counts.nonzero();  // [n, 2]
    if (where.size(0) == 0) return;
    const Tensor wanted = counterfactual.masked_select(counts), mine = own.masked_select(counts);
    const auto at = [&](const Tensor& x) { return x.index({where.select(1, 0), where.select(1, 1)}); };
    const auto difference = [&](const Tensor& x) {
      const Tensor rows = at(x);  // [n, classes]
      return (rows.gather(1, wanted.unsqueeze(1)) - rows.gather(1, mine.unsqueeze(1))).sum().item<double>();
    };
    const Tensor answer = at(logits).argmax(1);
    counted += where.size(0);
    right += (answer == wanted).sum().item<int64_t>();
    kept += (answer == mine).sum().item<int64_t>();
    after += difference(logits);
    before += difference(plain);
  }
  double mean(double sum) const { return counted > 0 ? sum / static_cast<double>(counted) : kNone; }
};

struct Tallies {
  Tally own;
  std::vector<Tally> others;

  InterchangeScore score() const {
    double other = kNone;
    for (const Tally& tally : others) {
      const double accuracy = tally.mean(static_cast<double>(tally.right));
      if (!(accuracy <= other)) other = std::isnan(accuracy) ? other : accuracy;
    }
    return {own.counted,
            own.mean(static_cast<double>(own.right)),
            own.mean(static_cast<double>(own.kept)),
            own.mean(own.after),
            own.mean(own.before),
            other};
  }
};

// Some pairs, with what the network says to both and the activations of the sources.
struct Piece {
  Tensor base, source;  // rows
  Tensor tokens;        // of the bases
  Tensor plain;         // logits of the bases, [pairs, n_read, classes] float64 on the CPU
  CachedForward donors;
};

Tensor on_cpu(const Tensor& logits, const TaskSpec& spec) {
  return at_read_out(logits, spec).to(torch::kCPU, torch::kFloat64);
}

Tensor exchanged_logits(Model& model, const TaskSpec& spec, const Exchange& exchange, const Piece& piece) {
  const Tensor& directions = exchange.hypothesis->directions;
  if (exchange.slices.empty()) return exchanged(piece.plain, on_cpu(piece.donors.logits, spec), directions);
  std::vector<Hook> hooks;
  for (const Slice& slice : exchange.slices)
    hooks.emplace_back(slice.hook(), [&](const Tensor& activation) {
      return slice.put(activation, exchanged(slice.taken(activation),
                                             slice.taken(piece.donors.cache[slice.hook()]), directions));
    });
  return on_cpu(run_with_hooks(model, piece.tokens, hooks), spec);
}

void add_to(Tallies& tallies, const Tensor& logits, const Hypothesis& hypothesis, const TaskSpec& spec,
            const Batch& inputs, const Piece& piece) {
  const Tensor own = inputs.labels.index_select(0, piece.base);
  const auto add = [&](Tally& tally, const CounterfactualLabels& of) {
    const Tensor labels = labels_for(of, hypothesis.name, spec, piece.base, piece.source);
    tally.add(logits, piece.plain, labels, own, counting(labels, own, inputs, piece.base));
  };
  tallies.others.resize(hypothesis.others.size());
  add(tallies.own, hypothesis.labels);
  for (size_t i = 0; i < hypothesis.others.size(); ++i) add(tallies.others[i], hypothesis.others[i]);
}

// Labels of the bases that the network gives without an exchange.
void add_bases(Tally& tally, const Batch& inputs, const Piece& piece) {
  const Tensor own = inputs.labels.index_select(0, piece.base);
  const Tensor counts = inputs.scored.defined() ? inputs.scored.index_select(0, piece.base)
                                                : torch::ones_like(own, torch::kBool);
  tally.add(piece.plain, piece.plain, own, own, counts);
}

}  // namespace

InterchangePairs sampled_pairs(int64_t n_inputs, int64_t n_pairs, torch::Generator rng) {
  if (n_inputs < 2)
    throw UsageError(fmt::format("a pair needs two different inputs, and there are {}", n_inputs));
  const Tensor base = torch::randint(n_inputs, {n_pairs}, rng, torch::kInt64);
  const Tensor other = torch::randint(n_inputs - 1, {n_pairs}, rng, torch::kInt64);
  return {base, other + (other >= base).to(torch::kInt64)};
}

InterchangePairs all_pairs(int64_t n_inputs) {
  if (n_inputs < 2)
    throw UsageError(fmt::format("a pair needs two different inputs, and there are {}", n_inputs));
  if (n_inputs > kMostPairs / n_inputs)
    throw UsageError(fmt::format("{} inputs have more than {} pairs", n_inputs, kMostPairs),
                     "draw a sample of them");
  const Tensor pair = torch::arange(n_inputs * (n_inputs - 1), torch::kInt64);
  const Tensor base = pair.div(n_inputs - 1, "floor"), other = pair.remainder(n_inputs - 1);
  return {base, other + (other >= base).to(torch::kInt64)};
}

InterchangeScores interchange(Model& model, const TaskSpec& spec, const Batch& inputs,
                              const std::vector<Hypothesis>& hypotheses, const InterchangePairs& pairs) {
  const torch::NoGradGuard no_grad;
  check_request(spec, inputs, pairs);
  const std::vector<Exchange> exchanges = exchanges_of(model, spec, hypotheses);
  const std::vector<std::string> hooks = hooks_of(exchanges);
  std::vector<Tallies> tallies(hypotheses.size());
  Tally bases;
  for (int64_t start = 0; start < pairs.base.size(0); start += piece_size) {
    const int64_t size = std::min(piece_size, pairs.base.size(0) - start);
    Piece piece{pairs.base.narrow(0, start, size), pairs.source.narrow(0, start, size), {}, {}, {}};
    piece.tokens = tokens_of(model, inputs, piece.base);
    piece.plain = on_cpu(run_with_hooks(model, piece.tokens, {}), spec);
    piece.donors = run_with_cache(model, tokens_of(model, inputs, piece.source), hooks);
    add_bases(bases, inputs, piece);
    for (size_t h = 0; h < exchanges.size(); ++h) try {
        add_to(tallies[h], exchanged_logits(model, spec, exchanges[h], piece), hypotheses[h], spec, inputs,
               piece);
      } catch (const UsageError& error) {
        throw about(hypotheses[h], error);
      }
  }
  InterchangeScores scores{bases.mean(static_cast<double>(bases.right)), {}};
  for (const Tallies& tally : tallies) scores.hypotheses.push_back(tally.score());
  return scores;
}

}  // namespace orrery
