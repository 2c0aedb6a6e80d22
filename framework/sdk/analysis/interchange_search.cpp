#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/interchange.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/optim/adam.h>

#include <algorithm>

#include "sdk/analysis/interchange_site.h"

namespace orrery {
namespace {

using namespace interchanging;
using torch::Tensor;

// The pairs at which some label counts, with these labels.
struct Examples {
  Tensor base, source;  // [n] rows
  Tensor labels;        // [n, n_read], -100 (which cross_entropy_loss ignores) where none counts
};

Examples examples_of(const Hypothesis& hypothesis, const TaskSpec& spec, const Batch& inputs,
                     const InterchangePairs& pairs) {
  const Tensor labels = labels_for(hypothesis.labels, hypothesis.name, spec, pairs.base, pairs.source);
  const Tensor counts = counting(labels, inputs.labels.index_select(0, pairs.base), inputs, pairs.base);
  const Tensor rows = counts.any(1).nonzero().flatten();
  if (rows.size(0) == 0)
    throw UsageError(
        fmt::format("hypothesis \"{}\": no counterfactual label differs from the base's", hypothesis.name),
        "give more pairs");
  return {pairs.base.index_select(0, rows), pairs.source.index_select(0, rows),
          labels.masked_fill(torch::logical_not(counts), -100).index_select(0, rows)};
}

// Rows that span what the columns of x [features, dimension] span.
Tensor orthonormal(const Tensor& x) { return std::get<0>(at::linalg_qr(x)).t(); }

Tensor loss_of(Model& model, const TaskSpec& spec, const Batch& inputs, const std::vector<Slice>& slices,
               const Examples& examples, const Tensor& rows, const Tensor& directions) {
  std::vector<std::string> names;
  for (const Slice& slice : slices) names.push_back(slice.hook());
  CachedForward donors;
  {
    const torch::NoGradGuard no_grad;
    donors = run_with_cache(model, tokens_of(model, inputs, examples.source.index_select(0, rows)), names);
  }
  std::vector<Hook> hooks;
  for (const Slice& slice : slices)
    hooks.emplace_back(slice.hook(), [&](const Tensor& activation) {
      return slice.put(activation, exchanged(slice.taken(activation), slice.taken(donors.cache[slice.hook()]),
                                             directions));
    });
  const Tensor logits =
      run_with_hooks(model, tokens_of(model, inputs, examples.base.index_select(0, rows)), hooks);
  return torch::cross_entropy_loss(at_read_out(logits, spec).flatten(0, 1),
                                   examples.labels.index_select(0, rows).flatten().to(logits.device()));
}

int64_t features_at(Model& model, const Batch& inputs, const Slice& slice) {
  const torch::NoGradGuard no_grad;
  const Tensor one = inputs.tokens.narrow(0, 0, 1).to(model.device());
  return slice.taken(run_with_cache(model, one, {slice.hook()}).cache[slice.hook()]).size(2);
}

}  // namespace

Alignment distributed_alignment_search(Model& model, const TaskSpec& spec, const Batch& inputs,
                                       const Hypothesis& hypothesis, const InterchangePairs& pairs,
                                       const AlignmentSearch& search) {
  check_request(spec, inputs, pairs);
  const std::vector<Slice> slices = slices_of(model, hypothesis.site, spec);
  if (slices.empty())
    throw UsageError("a subspace is searched at a hook point, not at the logits", "name a hook point");
  const int64_t features = features_at(model, inputs, slices.front());
  if (search.dimension < 1 || search.dimension > features)
    throw UsageError(fmt::format("there is no subspace of {} dimensions among {} features at \"{}\"",
                                 search.dimension, features, hypothesis.site.hook));
  const Examples examples = examples_of(hypothesis, spec, inputs, pairs);
  const int64_t n = examples.base.size(0);

  const at::AutoGradMode with_gradients(true);
  torch::Generator rng = make_generator(search.seed);
  Tensor basis = torch::randn({features, search.dimension}, rng, torch::kFloat32);
  basis.set_requires_grad(true);
  torch::optim::Adam adam({basis}, torch::optim::AdamOptions(search.lr));
  Alignment found;
  for (int64_t step = 0; step < search.steps; ++step) {
    const Tensor rows = torch::randint(n, {std::min(search.batch, n)}, rng, torch::kInt64);
    const Tensor loss = loss_of(model, spec, inputs, slices, examples, rows, orthonormal(basis));
    basis.mutable_grad() = torch::autograd::grad({loss}, {basis}).front();  // of the basis, and of no weight
    adam.step();
    found.losses.push_back(loss.item<double>());
  }
  found.directions = orthonormal(basis.detach().to(torch::kFloat64)).contiguous();
  return found;
}

}  // namespace orrery
