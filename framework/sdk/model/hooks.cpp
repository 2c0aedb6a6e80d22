#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

namespace orrery {

bool matches(const std::string& glob, const std::string& text) {
  // Iterative wildcard match: on a mismatch, the last `*` takes one more character.
  size_t g = 0, t = 0, star = std::string::npos, resume = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      resume = t;
    } else if (g < glob.size() && glob[g] == text[t]) {
      ++g, ++t;
    } else if (star != std::string::npos) {
      g = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

std::vector<HookPoint*> find_hook_points(const Model& model, const std::string& glob) {
  std::vector<HookPoint*> found;
  for (const auto& point : model.hook_points())
    if (matches(glob, point->name())) found.push_back(point.get());
  if (!found.empty()) return found;
  const std::vector<std::string> names = model.hook_point_names();
  throw UsageError(fmt::format("no hook point matches \"{}\"{}", glob, did_you_mean(glob, names)),
                   fmt::format("the model has: {}", fmt::join(names, ", ")));
}

const torch::Tensor& ActivationCache::operator[](const std::string& name) const {
  if (auto found = activations_.find(name); found != activations_.end()) return found->second;
  throw Error(fmt::format("activation \"{}\" was not cached{}", name, did_you_mean(name, names())),
              fmt::format("cached are: {}", fmt::join(names(), ", ")));
}

std::vector<std::string> ActivationCache::names() const {
  std::vector<std::string> all;
  for (const auto& [name, tensor] : activations_) all.push_back(name);
  return all;
}

std::vector<HeadPattern> heads_in(const ActivationCache& cache) {
  std::vector<HeadPattern> heads;
  for (int64_t layer = 0;; ++layer) {
    const std::string hook = fmt::format("blocks.{}.attn.hook_pattern", layer);
    if (!cache.contains(hook)) return heads;
    const torch::Tensor& pattern = cache[hook];  // [batch, n_heads, n_read, n_ctx]
    for (int64_t head = 0; head < pattern.size(1); ++head)
      heads.push_back({layer, head, fmt::format("{}.{}", layer, head), pattern.select(1, head)});
  }
}

namespace {

void check_answer(const std::string& point, const torch::Tensor& given, const torch::Tensor& answer) {
  const auto kind = [](const torch::Tensor& tensor) {
    return fmt::format("[{}] {} on {}", fmt::join(tensor.sizes(), ", "),
                       torch::toString(tensor.scalar_type()), tensor.device().str());
  };
  if (answer.defined() && answer.sizes() == given.sizes() && answer.scalar_type() == given.scalar_type() &&
      answer.device() == given.device())
    return;
  throw Error(
      fmt::format("a hook on \"{}\" returned {}; expected {}", point,
                  answer.defined() ? kind(answer) : "an undefined tensor", kind(given)),
      "return a tensor of the shape, dtype and device of the activation: expand_as() repeats a smaller one");
}

}  // namespace

// The activation may be a view of a weight, and the pass may use it again: a write into it reaches further
// than the hook means.
torch::Tensor HookPoint::run_hooks(torch::Tensor activation) const {
  for (const HookFunction& hook : hooks_) {
    const bool counts = !activation.is_inference();
    const auto version = counts ? activation._version() : 0;
    torch::Tensor answer = hook(activation);
    if (counts && activation._version() != version)
      throw Error(fmt::format("a hook on \"{}\" wrote into the activation in place", name_),
                  "return another tensor: x * 2 instead of x.mul_(2), or work on x.clone()");
    check_answer(name_, activation, answer);
    activation = std::move(answer);
  }
  return activation;
}

HookScope::HookScope(Model& model, const std::vector<Hook>& hooks) {
  std::vector<std::pair<HookPoint*, HookFunction>>
      resolved;  // before any is placed: a bad glob leaves nothing
  for (const auto& [glob, function] : hooks)
    for (HookPoint* point : find_hook_points(model, glob)) resolved.emplace_back(point, function);
  hooked_.reserve(resolved.size());
  for (auto& [point, function] : resolved) {
    point->hooks_.push_back(std::move(function));
    hooked_.push_back(point);
  }
}

HookScope::~HookScope() {
  for (auto point = hooked_.rbegin(); point != hooked_.rend(); ++point)
    if (!(*point)->hooks_.empty()) (*point)->hooks_.pop_back();
}

CachedForward run_with_cache(Model& model, const torch::Tensor& tokens,
                             const std::vector<std::string>& globs) {
  CachedForward result;
  std::map<std::string, HookPoint*> wanted;  // a point matched by two globs is hooked once
  for (const std::string& glob : globs)
    for (HookPoint* point : find_hook_points(model, glob)) wanted[point->name()] = point;
  std::vector<Hook> hooks;
  for (const auto& [name, point] : wanted)
    hooks.emplace_back(name, [&result, name = name](const torch::Tensor& activation) {
      result.cache.put(name, activation);
      return activation;
    });
  const HookScope scope(model, hooks);
  result.logits = model.forward(tokens);
  return result;
}

torch::Tensor run_with_hooks(Model& model, const torch::Tensor& tokens, const std::vector<Hook>& hooks) {
  const HookScope scope(model, hooks);
  return model.forward(tokens);
}

torch::Tensor at_positions(const HookPoint& point, const torch::Tensor& activation,
                           const torch::Tensor& positions) {
  const int64_t dim = point.position_dim();
  return dim < 0 ? activation.unsqueeze(1) : activation.index_select(dim, positions);
}

}  // namespace orrery
