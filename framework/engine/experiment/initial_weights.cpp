#include "engine/experiment/initial_weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <orrery/task.h>

#include <algorithm>
#include <cmath>

#include "engine/config/random_streams.h"
#include "engine/config/refuse_at.h"
#include "sdk/files/named_tensors.h"

namespace orrery::engine {
namespace {

using Distribution = InitialDraw::Distribution;

std::string last_part(const std::string& name) { return name.substr(name.rfind('.') + 1); }

bool is_embedding(const std::string& name) {
  const std::string last = last_part(name);
  return last == "W_E" || last == "W_E_a" || last == "W_E_b" || last == "W_pos";
}

// "ln1.w" and "ln1.b" of a layer, "ln_final.w".
bool is_norm(const std::string& name) { return last_part(name) == "w" || last_part(name) == "b"; }

bool is_bias(const std::string& name) { return last_part(name).starts_with("b_"); }

int64_t rows_of(const Model& model, const std::string& name) {
  const torch::Tensor weight = model.weight(name);
  const int64_t rows = weight.dim() >= 2 ? weight.size(-2) : weight.numel();
  return last_part(name) == "W_O" && weight.dim() == 3 ? rows * weight.size(0) : rows;
}

// Of a bias "mlp.b_in", that of "mlp.W_in"; 0 if there is none.
int64_t fan_in(const Model& model, const std::string& name) {
  if (!is_bias(name)) return rows_of(model, name);
  const std::string weight = name.substr(0, name.rfind('.') + 1) + "W_" + last_part(name).substr(2);
  for (const std::string& candidate : {weight, weight + "_a"})
    if (model.find_weight(candidate)) return rows_of(model, candidate);
  return 0;
}

torch::Tensor normal(const torch::Tensor& like, double std, const torch::Generator& rng) {
  return torch::randn(like.sizes(), rng) * std;
}

torch::Tensor uniform(const torch::Tensor& like, double bound, const torch::Generator& rng) {
  return (torch::rand(like.sizes(), rng) * 2 - 1) * bound;
}

// Cut off at two standard deviations, by the inverse of the distribution function.
torch::Tensor truncated(const torch::Tensor& like, double std, const torch::Generator& rng) {
  const double edge = std::erf(std::sqrt(2.0));
  const torch::Tensor u = torch::rand(like.sizes(), rng, torch::kFloat64) * (2 * edge) - edge;
  return (torch::erfinv(u) * std::sqrt(2.0) * std).to(torch::kFloat32);
}

// As a library draws a weight of this name; undefined if it does not tell.
torch::Tensor drawn_by_library(const Model& model, const NamedWeight& weight, Distribution library,
                               const torch::Generator& rng) {
  if (is_norm(weight.name))
    return last_part(weight.name) == "w" ? torch::ones_like(weight.value) : torch::zeros_like(weight.value);
  if (library == Distribution::transformer_lens) {
    const NamedWeight* embedding = model.find_weight("embed.W_E");
    if (is_bias(weight.name)) return torch::zeros_like(weight.value);
    if (!embedding) return {};
    return normal(weight.value, 0.8 / std::sqrt(static_cast<double>(embedding->value.size(1))), rng);
  }
  const bool pytorch = library == Distribution::pytorch;
  const bool is_matrix = last_part(weight.name).starts_with("W_");  // [..., in, out]
  if (!is_matrix && !is_bias(weight.name)) return {};
  if (is_embedding(weight.name))
    return pytorch ? normal(weight.value, 1, rng) : truncated(weight.value, 1, rng);
  if (is_bias(weight.name) && !pytorch) return torch::zeros_like(weight.value);
  const int64_t n = fan_in(model, weight.name);
  if (n == 0) return {};
  const double bound = 1 / std::sqrt(static_cast<double>(n));
  return pytorch ? uniform(weight.value, bound, rng) : truncated(weight.value, bound, rng);
}

torch::Tensor drawn(const Model& model, const NamedWeight& weight, const InitialDraw& draw,
                    const torch::Generator& rng) {
  const torch::Tensor own = weight.value.detach();
  switch (draw.distribution) {
    case Distribution::own:
      return own.clone();
    case Distribution::normal:
      return normal(own, draw.std, rng);
    case Distribution::uniform:
      return uniform(own, draw.std * std::sqrt(3.0), rng);
    case Distribution::truncated_normal:
      return truncated(own, draw.std, rng);
    case Distribution::zeros:
      return torch::zeros_like(own);
    default:
      return drawn_by_library(model, weight, draw.distribution, rng);
  }
}

// The weights that the globs name, each of which names some.
std::vector<NamedWeight> named_weights(const Model& model, const std::vector<std::string>& globs,
                                       const std::string& place, const std::string& table) {
  for (const std::string& glob : globs)
    if (std::none_of(model.weights().begin(), model.weights().end(),
                     [&](const NamedWeight& weight) { return matches(glob, weight.name); }))
      refuse_at(place,
                fmt::format("{}: no weight is called \"{}\"{}", table, glob,
                            did_you_mean(glob, model.weight_names())),
                fmt::format("the weights are {}", fmt::join(model.weight_names(), ", ")));
  std::vector<NamedWeight> named;
  for (const NamedWeight& weight : model.weights())
    if (std::any_of(globs.begin(), globs.end(), [&](const auto& glob) { return matches(glob, weight.name); }))
      named.push_back(weight);
  return named;
}

}  // namespace

void redraw(Model& model, const std::vector<InitialDraw>& draws, int64_t seed) {
  if (draws.empty()) return;
  torch::NoGradGuard no_grad;
  const torch::Generator rng =
      make_generator(seed_of(RandomStream::initial_draws, static_cast<uint64_t>(seed)));
  for (const InitialDraw& draw : draws)
    for (NamedWeight& weight : named_weights(model, draw.weights, draw.place, "init.draw")) {
      const torch::Tensor value = drawn(model, weight, draw, rng);
      if (!value.defined())
        refuse_at(draw.place,
                  fmt::format("init.draw: {} does not tell how to draw {}", name_of(draw.distribution),
                              weight.name),
                  "give it an entry of its own, with distribution = \"normal\" and std");
      weight.value.detach().copy_(value * draw.scale);
    }
}

void transplant(Model& model, const std::vector<Transplant>& transplants) {
  torch::NoGradGuard no_grad;
  for (const Transplant& each : transplants) try {
      const NamedTensors source = read_tensors(each.from).tensors;
      for (const NamedWeight& weight : named_weights(model, each.weights, each.place, "init.transplant"))
        copy_named(source, weight.name, weight.value.detach());
    } catch (const UsageError&) {
      throw;
    } catch (const Error& error) {
      const std::string text = error.what();
      refuse_at(
          each.place,
          fmt::format("init.transplant: {}{}", text.starts_with(each.from) ? "" : each.from + ": ", text),
          error.hint().empty() ? "name another checkpoint, or other weights" : error.hint());
    }
}

}  // namespace orrery::engine
