#include "repeats.h"

#include <orrery/error.h>
#include <orrery/hooks.h>

#include <algorithm>

namespace induction_heads {
namespace {

using orrery::Hook;
using orrery::Model;
using torch::Tensor;

constexpr int64_t piece_numbers = int64_t{1} << 22;  // in the largest activation of one forward pass

std::string hook_name(int64_t layer, const std::string& point) {
  return "blocks." + std::to_string(layer) + ".attn." + point;
}

void check_length(int64_t length, int64_t longest, const orrery::TaskSpec& spec, int64_t n_tokens) {
  const std::string reason = "twice in a context of " + std::to_string(spec.n_ctx) + " tokens, with " +
                             std::to_string(n_tokens) + " distinct tokens that are also output classes";
  if (longest < 2)
    throw orrery::UsageError("no stretch of two tokens or more fits " + reason,
                             "leave the probe out: it needs a task with longer sequences");
  if (length > longest)
    throw orrery::UsageError("a stretch of length " + std::to_string(length) + " does not fit " + reason,
                             "set length to at most " + std::to_string(longest) + ", or to 0 for that");
}

void add_to(Tensor& total, const Tensor& part) { total = total.defined() ? total + part : part; }

// Sums over the sequences and positions seen so far.
struct Sums {
  explicit Sums(int64_t n_layers) : prefix(n_layers), previous(n_layers), duplicate(n_layers), z(n_layers) {}
  std::vector<Tensor> prefix, previous, duplicate, z;  // by layer
  Tensor loss;
};

// The attention from position k + back to position k, summed over k = first .. first + n - 1 and the batch.
// pattern: [batch, n_heads, query, key] -> [n_heads].
Tensor attention_back(const Tensor& pattern, int64_t back, int64_t first, int64_t n) {
  const int64_t over[] = {0, 2};
  return pattern.diagonal(-back, 2, 3).narrow(2, first, n).sum(over, false, torch::kFloat64).to(torch::kCPU);
}

std::vector<Hook> watching(Sums& sums, const Repeats& r) {
  std::vector<Hook> hooks;
  for (size_t layer = 0; layer < sums.z.size(); ++layer) {
    hooks.emplace_back(hook_name(layer, "hook_pattern"), [&sums, &r, layer](const Tensor& pattern) {
      add_to(sums.previous[layer], attention_back(pattern, 1, 0, r.end() - 1));
      add_to(sums.prefix[layer], attention_back(pattern, r.length - 1, r.start + 1, r.length));
      add_to(sums.duplicate[layer], attention_back(pattern, r.length, r.start, r.length));
      return pattern;
    });
    hooks.emplace_back(hook_name(layer, "hook_z"), [&sums, &r, layer](const Tensor& z) {
      const int64_t over[] = {0, 1};
      add_to(sums.z[layer], z.narrow(1, 0, r.end()).sum(over, false, torch::kFloat64).to(torch::kCPU));
      return z;
    });
  }
  return hooks;
}

std::vector<Hook> ablating(const std::vector<Head>& heads, const Tensor& mean_z) {
  std::vector<Hook> hooks;
  for (const Head& head : heads)
    hooks.emplace_back(hook_name(head.layer, "hook_z"),
                       [head, mean = mean_z[head.layer][head.head]](const Tensor& z) {
                         Tensor ablated = z.clone();
                         ablated.select(2, head.head).copy_(mean);
                         return ablated;
                       });
  return hooks;
}

// -log p of the tokens at 1 .. end - 1, summed over the batch: [end - 1].
Tensor losses(const Tensor& logits, const Tensor& tokens, int64_t end) {
  const Tensor log_p = logits.narrow(1, 0, end - 1).to(torch::kFloat64).log_softmax(-1);
  const Tensor next = tokens.narrow(1, 1, end - 1).unsqueeze(-1);
  return -log_p.gather(-1, next).squeeze(-1).sum(0).to(torch::kCPU);
}

int64_t piece_size(const Model& model, const Repeats& r) {
  const int64_t n_ctx = r.tokens.size(1);
  const int64_t n_heads = model.weight("blocks.0.attn.W_Q").size(0);
  const int64_t widest = std::max(n_heads * n_ctx, model.weight("unembed.W_U").size(1));
  return std::clamp<int64_t>(piece_numbers / (n_ctx * widest), 1, r.tokens.size(0));
}

}  // namespace

std::string to_string(const Head& head) {
  return std::to_string(head.layer) + "." + std::to_string(head.head);
}

std::optional<int64_t> find_bos(const Tensor& tokens) {
  if (!tokens.defined() || tokens.numel() == 0) return std::nullopt;
  const auto first = tokens[0][0].item<int64_t>();
  const Tensor same = tokens == first;
  const bool starts_all = same.select(1, 0).all().item<bool>();
  return starts_all && same.sum().item<int64_t>() == tokens.size(0) ? std::optional(first) : std::nullopt;
}

Tensor usable_tokens(const orrery::TaskSpec& spec, std::optional<int64_t> bos) {
  const Tensor both = torch::arange(std::min(spec.d_vocab, spec.d_vocab_out), torch::kInt64);
  return bos ? both.masked_select(both != *bos) : both;
}

int64_t longest_stretch(const orrery::TaskSpec& spec, std::optional<int64_t> bos) {
  return std::min((spec.n_ctx - (bos ? 1 : 0)) / 2, usable_tokens(spec, bos).size(0));
}

Trained trained_stretch(const orrery::Structure& structure, const Tensor& tokens,
                        std::optional<int64_t> bos) {
  if (structure.repeats) return {structure.repeats->length, "the task"};
  if (!tokens.defined() || tokens.numel() == 0) return {};
  const int64_t start = bos ? 1 : 0, n = tokens.size(1) - start;
  const auto repeats_after = [&](int64_t distance) {
    return tokens.narrow(1, start + distance, n - distance).equal(tokens.narrow(1, start, n - distance));
  };
  for (int64_t period = 1; 2 * period <= n; ++period)
    if (repeats_after(period)) return period > 1 ? Trained{period, "the training inputs"} : Trained{};
  return {};
}

Repeats draw_repeats(const orrery::TaskSpec& spec, std::optional<int64_t> bos, int64_t length, int64_t n,
                     uint64_t seed) {
  const Tensor usable = usable_tokens(spec, bos);
  const int64_t start = bos ? 1 : 0;
  const int64_t longest = longest_stretch(spec, bos);
  check_length(length, longest, spec, usable.size(0));
  if (length == 0) length = longest;

  auto rng = orrery::make_generator(seed);
  const Tensor around = torch::arange(spec.n_ctx - start, torch::kInt64).remainder(length);
  std::vector<Tensor> rows;
  for (int64_t row = 0; row < n; ++row) {
    const Tensor stretch =
        usable.index_select(0, torch::randperm(usable.size(0), rng, torch::kInt64).narrow(0, 0, length));
    rows.push_back(stretch.index_select(0, around));
  }
  Tensor tokens = torch::stack(rows);
  if (bos) tokens = torch::cat({torch::full({n, 1}, *bos, torch::kInt64), tokens}, 1);
  return {tokens, start, length};
}

RepeatScores score_repeats(Model& model, const Repeats& r, const std::vector<Head>& ablated,
                           const Tensor& mean_z) {
  Sums sums(static_cast<int64_t>(orrery::find_hook_points(model, "blocks.*.attn.hook_pattern").size()));
  std::vector<Hook> hooks = watching(sums, r);
  for (Hook& hook : ablating(ablated, mean_z)) hooks.push_back(std::move(hook));
  const int64_t n = r.tokens.size(0), size = piece_size(model, r);
  {
    const orrery::HookScope scope(model, hooks);
    for (int64_t at = 0; at < n; at += size) {
      const Tensor tokens = r.tokens.narrow(0, at, std::min(size, n - at)).to(model.device());
      add_to(sums.loss, losses(model.forward(tokens), tokens, r.end()));
    }
  }
  const Tensor loss = sums.loss / n;
  const auto mean = [&](int64_t first) { return loss.narrow(0, first, r.length - 1).mean().item<double>(); };
  return {.prefix_matching = torch::stack(sums.prefix) / (n * r.length),
          .previous_token = torch::stack(sums.previous) / (n * (r.end() - 1)),
          .duplicate_token = torch::stack(sums.duplicate) / (n * r.length),
          .mean_z = torch::stack(sums.z) / (n * r.end()),
          .loss = loss,
          .loss_first = mean(r.start),
          .loss_repeats = mean(r.start + r.length)};
}

Tensor example_pattern(Model& model, const Repeats& r, const Head& head) {
  Tensor seen;
  orrery::run_with_hooks(model, r.tokens.narrow(0, 0, 1).to(model.device()),
                         {{hook_name(head.layer, "hook_pattern"), [&](const Tensor& pattern) {
                             seen = pattern[0][head.head].to(torch::kCPU);
                             return pattern;
                           }}});
  return seen.narrow(0, 0, r.end()).narrow(1, 0, r.end());
}

}  // namespace induction_heads
