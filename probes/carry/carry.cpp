// Which parts of a network carry? A digit of a sum needs more or less of addition (Quirke and Barez 2024,
// "Understanding addition in transformers", arXiv 2310.13121, and their notes): base add (BA) where no carry
// comes in, use carry 1 (UC1) where the column below makes one, use sum 9 (US9) where that column adds up to
// 9 and passes on a carry made further below. The tens of 45 + 23 need BA, those of 45 + 28 UC1; the hundreds
// of 145 + 258 need US9, as 4 + 5 = 9 passes on the carry of 5 + 8. The probe makes sums of each sub-task,
// takes out one head or MLP at a time, and records which sub-tasks suffer.
#include <orrery/findings.h>
#include <orrery/hooks.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <limits>
#include <map>

#include "sums.h"

namespace {

using orrery::Observation;
using orrery::Recorder;
using torch::Tensor;

enum class Ablation { mean, zero };
orrery::Names<Ablation> names_of(Ablation) { return {{"mean", Ablation::mean}, {"zero", Ablation::zero}}; }

struct Params {
  Ablation ablation = Ablation::mean;
  int64_t n_sums = 100;
  int64_t seed = 0;

  static void fields(orrery::Fields<Params>& f) {
    f.add("ablation", &Params::ablation,
          "what an activation is replaced by: its mean over test inputs at the same position, or 0");
    f.add("n_sums", &Params::n_sums, "sums for each sub-task and digit of the sum").at_least(2);
    f.add("seed", &Params::seed, "of these sums").at_least(0);
  }
};

constexpr int64_t kMeanOver = 1000;  // test inputs, the first

// A head, or an MLP (head -1).
struct Component {
  std::string name, hook;
  int64_t head = -1;
};

// What replaces an activation: by hook point, [n_ctx, n_heads, d_head] or [n_ctx, d_model].
using Replacements = std::map<std::string, Tensor>;

std::string hook_z(int64_t layer) { return "blocks." + std::to_string(layer) + ".attn.hook_z"; }
std::string hook_mlp_out(int64_t layer) { return "blocks." + std::to_string(layer) + ".hook_mlp_out"; }

std::vector<Component> components_in(const Replacements& by) {
  std::vector<Component> all;
  for (int64_t layer = 0; by.count(hook_z(layer)) == 1; ++layer) {
    const std::string name = std::to_string(layer);
    for (int64_t head = 0; head < by.at(hook_z(layer)).size(1); ++head)
      all.push_back({"head " + name + "." + std::to_string(head), hook_z(layer), head});
    if (by.count(hook_mlp_out(layer)) == 1) all.push_back({"MLP " + name, hook_mlp_out(layer)});
  }
  return all;
}

orrery::Hook without(const Component& component, const Tensor& by) {
  return {component.hook, [component, by](const Tensor& activation) {
            if (component.head < 0) return by.unsqueeze(0).expand_as(activation).clone();
            const Tensor changed = activation.clone();
            changed.select(2, component.head)
                .copy_(by.select(1, component.head).unsqueeze(0).expand_as(changed.select(2, 0)));
            return changed;
          }};
}

// [sub-tasks, digits of the sum], NaN where there are no such sums.
struct Table {
  Tensor loss, accuracy;
};

class Sums {
 public:
  Sums(const Observation& observation, const Params& params) : observation_(observation) {
    const orrery::Batch& test = observation.split.test;
    const Layout layout = layout_of(observation.spec, test.tokens);
    n_places_ = layout.n_sum;
    layout_ = layout;
    cells_ =
        cells(layout, test.tokens, params.n_sums, orrery::make_generator(static_cast<uint64_t>(params.seed)));
    std::vector<Tensor> tokens, labels;
    for (const Cell& cell : cells_) {
      tokens.push_back(cell.sums.tokens);
      labels.push_back(cell.sums.labels);
    }
    all_ = {.tokens = torch::cat(tokens), .labels = torch::cat(labels)};
  }

  int64_t n_places() const { return n_places_; }

  Table measured(const std::vector<orrery::Hook>& hooks) const {
    const auto device = observation_.model.device();
    const Tensor logits = orrery::run_with_hooks(observation_.model, all_.tokens.to(device), hooks)
                              .to(torch::kCPU, torch::kFloat64)
                              .index_select(1, torch::tensor(observation_.spec.read_out, torch::kInt64));
    const Tensor losses = observation_.losses(logits, all_);
    const Tensor right = (logits.argmax(-1) == all_.labels).to(torch::kFloat64);
    const auto empty = [&] {
      return torch::full({static_cast<int64_t>(sub_tasks().size()), n_places_},
                         std::numeric_limits<double>::quiet_NaN(), torch::kFloat64);
    };
    Table table{empty(), empty()};
    int64_t start = 0;
    for (const Cell& cell : cells_) {
      const int64_t n = cell.sums.size(), row = static_cast<int64_t>(cell.sub_task);
      const auto mean = [&](const Tensor& x) {
        return x.narrow(0, start, n).select(1, layout_.output(cell.place)).mean();
      };
      table.loss[row][cell.place] = mean(losses);
      table.accuracy[row][cell.place] = mean(right);
      start += n;
    }
    return table;
  }

 private:
  const Observation& observation_;
  int64_t n_places_ = 0;
  Layout layout_;
  std::vector<Cell> cells_;
  orrery::Batch all_;  // the sums of all cells, one after another
};

Replacements replacements(const Observation& observation, Ablation ablation) {
  std::vector<std::string> hooks;
  for (const std::string& name : observation.model.hook_point_names())
    if (orrery::matches("blocks.*.attn.hook_z", name) || orrery::matches("blocks.*.hook_mlp_out", name))
      hooks.push_back(name);
  const Tensor& tokens = observation.split.test.tokens;
  const Tensor some = tokens.narrow(0, 0, std::min(tokens.size(0), kMeanOver));
  const auto seen =
      orrery::run_with_cache(observation.model, some.to(observation.model.device()), hooks).cache;
  Replacements by;
  for (const std::string& hook : hooks) {
    const Tensor mean = seen[hook].to(torch::kFloat64).mean(0).to(seen[hook].scalar_type());
    by[hook] = ablation == Ablation::mean ? mean : torch::zeros_like(mean);
  }
  return by;
}

// Over the digits of the sum at which the sub-task occurs; NaN if there are none.
Tensor over_places(const Tensor& table) { return torch::nanmean(table, torch::IntArrayRef({-1})); }

class Carry final : public orrery::Probe {
 public:
  explicit Carry(Params params) : params_(params) {}

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.inputs = orrery::Inputs::none;
    needs.refusal = [](const orrery::Model& model, const orrery::TaskSpec& spec) -> std::string {
      const auto names = model.hook_point_names();
      if (std::find(names.begin(), names.end(), hook_z(0)) == names.end())
        return "the model has no attention heads";
      return no_sums(spec);
    };
    return needs;
  }

  void measure(const Observation& observation, Recorder& recorder) override {
    const Sums sums(observation, params_);
    const Replacements by = replacements(observation, params_.ablation);
    const std::vector<Component> components = components_in(by);
    const Table before = sums.measured({});
    panels(recorder);
    record_whole(before, recorder);
    std::vector<Tensor> losses, accuracies;
    for (const Component& component : components) {
      const Table after = sums.measured({without(component, by.at(component.hook))});
      record(component, before, after, recorder);
      losses.push_back(after.loss - before.loss);
      accuracies.push_back(before.accuracy - after.accuracy);
    }
    recorder.tensor("loss_added", torch::stack(losses));
    recorder.tensor("accuracy_lost", torch::stack(accuracies));
    figures(components, torch::stack(losses), torch::stack(accuracies), sums.n_places(), recorder);
  }

 private:
  std::string mode() const { return orrery::name_of(params_.ablation); }

  void panels(Recorder& recorder) const {
    recorder.panel("accuracy", "Digits that are right, by sub-task", "accuracy");
    recorder.panel("loss", "Loss of digits, by sub-task", "loss (nats)");
    recorder.panel("loss_added", "Loss added by the ablation of a component", "loss (nats)");
    recorder.panel("accuracy_lost", "Accuracy lost by the ablation of a component", "accuracy");
  }

  static void record_whole(const Table& table, Recorder& recorder) {
    const Tensor loss = over_places(table.loss), accuracy = over_places(table.accuracy);
    for (const auto& [name, sub_task] : sub_tasks()) {
      const auto row = static_cast<int64_t>(sub_task);
      if (accuracy[row].isnan().item<bool>()) continue;
      recorder.headline("accuracy/" + name, accuracy[row].item<double>());
      recorder.scalar("loss/" + name, loss[row].item<double>());
    }
    recorder.tensor("accuracy", table.accuracy);
    recorder.tensor("loss", table.loss);
  }

  void record(const Component& component, const Table& before, const Table& after, Recorder& recorder) const {
    const Tensor was = over_places(before.loss), is = over_places(after.loss);
    const Tensor lost = over_places(before.accuracy) - over_places(after.accuracy);
    for (const auto& [name, sub_task] : sub_tasks()) {
      const auto row = static_cast<int64_t>(sub_task);
      if (was[row].isnan().item<bool>()) continue;
      const double loss_before = was[row].item<double>(), loss_after = is[row].item<double>();
      recorder.scalar("loss_added/" + component.name + "/" + name, loss_after - loss_before);
      recorder.scalar("accuracy_lost/" + component.name + "/" + name, lost[row].item<double>());
      recorder.finding(orrery::ablation_finding(component.name, mode(), name, loss_before, loss_after));
    }
  }

  // added, lost: [components, sub-tasks, digits of the sum].
  static void figures(const std::vector<Component>& components, const Tensor& added, const Tensor& lost,
                      int64_t n_places, Recorder& recorder) {
    std::vector<std::string> rows, columns, places;
    for (const Component& component : components) rows.push_back(component.name);
    for (const auto& [name, sub_task] : sub_tasks()) columns.push_back(name);
    for (int64_t place = 0; place < n_places; ++place) places.push_back(std::to_string(place));
    recorder.figure(orrery::Figure::heatmap("loss_added", "Loss added by each ablation, by sub-task",
                                            {"sub-task", columns}, {"ablated", rows}, "loss (nats)",
                                            over_places(added)));
    recorder.figure(orrery::Figure::heatmap("accuracy_lost", "Accuracy lost by each ablation, by sub-task",
                                            {"sub-task", columns}, {"ablated", rows}, "accuracy",
                                            over_places(lost)));
    recorder.figure(orrery::Figure::heatmap("accuracy_lost_by_digit",
                                            "Accuracy lost by each ablation, by digit of the sum",
                                            {"place (0: ones)", places}, {"ablated", rows}, "accuracy",
                                            torch::nanmean(lost, torch::IntArrayRef({1}))));
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(Carry, Params, "carry", "1.0.0",
             "Which heads and MLPs the sub-tasks of digit addition need, by ablation.")
