#include "engine/train/interventions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <array>
#include <limits>

#include "engine/config/refuse_at.h"

namespace orrery::engine {
namespace {

using Action = Intervention::Action;

std::string last_part_of(const std::string& name) { return name.substr(name.rfind('.') + 1); }

bool is_pattern(const std::string& name) {
  return last_part_of(name) == "hook_pattern" || last_part_of(name) == "hook_attn_scores";
}

// The dimension over heads, or -1.
int64_t head_dim_of(const std::string& name) {
  constexpr std::array with_heads = {"hook_q", "hook_k", "hook_v", "hook_z", "hook_rot_q", "hook_rot_k"};
  if (is_pattern(name)) return 1;
  const std::string last = last_part_of(name);
  return std::find(with_heads.begin(), with_heads.end(), last) != with_heads.end() ? 2 : -1;
}

int64_t heads_of(const Model& model, const std::string& hook) {
  const NamedWeight* W_Q = model.find_weight(hook.substr(0, hook.rfind('.') + 1) + "W_Q");
  return W_Q ? W_Q->value.size(0) : 0;
}

void check_point(const Intervention& entry, const Model& model, const std::string& point) {
  if (entry.action == Action::pattern && last_part_of(point) != "hook_pattern")
    refuse_at(entry.place,
              fmt::format("train.intervene: the action pattern is for hook_pattern, not for {}", point),
              "for example: at = [\"blocks.0.attn.hook_pattern\"]");
  if (entry.heads.empty()) return;
  if (head_dim_of(point) < 0)
    refuse_at(entry.place, fmt::format("train.intervene: {} has no heads", point),
              "leave heads out, or name hook_z or hook_pattern");
  for (const int64_t head : entry.heads)
    if (head >= heads_of(model, point))
      refuse_at(entry.place, fmt::format("train.intervene: there is no head {} at {}", head, point),
                fmt::format("it has the heads 0 to {}", heads_of(model, point) - 1));
}

// [n, n] of 0 and 1 (or shares): where each query attends.
torch::Tensor attention_of(Intervention::Attend attend, const torch::Tensor& pattern) {
  const int64_t n = pattern.size(-1);
  const torch::Tensor position =
      torch::arange(n, torch::TensorOptions(torch::kInt64).device(pattern.device()));
  torch::Tensor to;
  switch (attend) {
    case Intervention::Attend::previous:
      to = (position - 1).clamp_min(0);
      break;
    case Intervention::Attend::first:
      to = torch::zeros_like(position);
      break;
    case Intervention::Attend::self:
      to = position;
      break;
    case Intervention::Attend::uniform: {
      const torch::Tensor all = torch::ones({n, n}, pattern.options()).tril();
      return all / all.sum(1, true);
    }
  }
  return at::one_hot(to, n).to(pattern.scalar_type());
}

torch::Tensor replacement(const Intervention& entry, const torch::Tensor& x) {
  switch (entry.action) {
    case Action::zero:
      return torch::zeros_like(x);
    case Action::mean:
      return x.detach().mean(0, true).expand_as(x);
    case Action::clamp:
      return torch::full_like(x, entry.value);
    case Action::freeze:
      return x.detach();
    case Action::pattern:
      return attention_of(entry.attend, x).expand_as(x);
  }
  return x;
}

// The replacement for the heads that the entry names, x for the others.
torch::Tensor of_heads(const Intervention& entry, const torch::Tensor& x, int64_t head_dim) {
  torch::Tensor instead = replacement(entry, x);
  // What is masked stays masked: scores of keys that a query does not see are -inf.
  if (entry.action == Action::zero || entry.action == Action::clamp)
    instead = torch::where(x.detach() == -std::numeric_limits<double>::infinity(), x.detach(), instead);
  if (entry.heads.empty()) return instead;
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[static_cast<size_t>(head_dim)] = x.size(head_dim);
  torch::Tensor chosen =
      torch::zeros({x.size(head_dim)}, torch::TensorOptions(torch::kBool).device(x.device()));
  for (const int64_t head : entry.heads) chosen[head] = true;
  return torch::where(chosen.view(shape), instead, x);
}

}  // namespace

namespace {

std::vector<HookPoint*> points_of(const Intervention& entry, const Model& model, const std::string& glob) {
  try {
    return find_hook_points(model, glob);
  } catch (const Error& error) {
    refuse_at(entry.place, fmt::format("train.intervene: {}", error.what()), error.hint());
  }
}

}  // namespace

Interventions::Interventions(const std::vector<Intervention>& interventions, const Model& model) {
  for (const Intervention& entry : interventions)
    for (const std::string& glob : entry.at)
      for (const HookPoint* point : points_of(entry, model, glob)) {
        check_point(entry, model, point->name());
        places_.push_back({entry, point->name(), head_dim_of(point->name())});
      }
}

bool Interventions::active(int64_t step) const {
  return std::any_of(places_.begin(), places_.end(),
                     [&](const Place& place) { return place.entry.active(step); });
}

std::vector<Hook> Interventions::hooks(int64_t step) const {
  std::vector<Hook> all;
  for (const Place& place : places_)
    if (place.entry.active(step))
      all.emplace_back(place.point, [entry = place.entry, dim = place.head_dim](const torch::Tensor& x) {
        return of_heads(entry, x, dim);
      });
  return all;
}

}  // namespace orrery::engine
