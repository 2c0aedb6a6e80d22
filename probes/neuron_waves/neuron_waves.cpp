// Which wave does each neuron read, and which does it write? (Pearce et al. 2023, "Do Machine Learning Models
// Memorize or Generalize?") In a network that adds a + b mod p, the input of a neuron from a is a wave cos(w
// a - f), w = 2 pi k / p, its contribution to the logits a wave cos(w c - g), and g = 2 f: neurons with
// phases f all around the circle turn the angle half way between w a and w b into w (a + b). With p = 67 and
// five neurons at f = 0, 72, 144, ... degrees, the outputs are at g = 0, 144, 288, ...: two stars with the
// same five points.
#include <orrery/findings.h>
#include <orrery/fourier.h>
#include <orrery/operands.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <orrery/transformer.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "groups.h"

namespace {

using torch::Tensor;

struct Params {
  double threshold = 0.85;
  double min_size = 0.01;
  int64_t max_drawn = 128;
  int64_t max_lines = 8;
  std::vector<int64_t> input;
  static void fields(orrery::Fields<Params>& f) {
    f.add("threshold", &Params::threshold,
          "share of its input waves at one frequency that puts a neuron in a group")
        .between(0, 1);
    f.add("min_size", &Params::min_size, "smaller neurons, relative to the largest, are in no group")
        .between(0, 1);
    f.add("max_drawn", &Params::max_drawn, "neurons in the heatmaps: the largest").at_least(1);
    f.add("max_lines", &Params::max_lines, "neurons of each group in the line chart: the largest")
        .at_least(1);
    f.add("input", &Params::input,
          "the indices of a and b whose logits are drawn; empty: a third and a quarter of their number")
        .at_least(0);
  }
};

// Functions of n elements, one per neuron, as waves: values(x) = sum over k of cosine_k cos w_k x + sine_k
// sin w_k x.
struct Waves {
  Tensor values;        // [neurons, n] float64, without their means
  Tensor cosine, sine;  // [neurons, floor(n/2) + 1]; entry 0 is 0
  Tensor energy;        // likewise: the sum of squares of values at each frequency
};

Waves waves_of(const Tensor& functions) {
  const auto values = functions.to(torch::kFloat64) - functions.to(torch::kFloat64).mean(1, true);
  const int64_t n = values.size(1), m = values.size(0), half = n / 2, sines = (n - 1) / 2;
  const auto components = values.matmul(orrery::fourier_basis(n).t());  // const, cos 1, sin 1, ...
  auto cosine = torch::zeros({m, half + 1}, torch::kFloat64), sine = torch::zeros_like(cosine);
  cosine.narrow(1, 1, half).copy_(components.slice(1, 1, n, 2));
  sine.narrow(1, 1, sines).copy_(components.slice(1, 2, n, 2));
  auto height =
      torch::full({half + 1}, std::sqrt(2.0 / double(n)), torch::kFloat64);  // of a row of the basis
  if (n % 2 == 0) height[half] = std::sqrt(1.0 / double(n));
  return {values, cosine * height, sine * height, cosine.square() + sine.square()};
}

// The wave of one operand, or of the classes, at each neuron's own frequency: a point (cosine, sine) of a
// star.
struct Star {
  Tensor points;            // [neurons, 2]
  Tensor amplitude, phase;  // [neurons]; radians
};

Star star_of(const Waves& waves, const Tensor& frequency) {
  const auto at = frequency.unsqueeze(1);
  const auto cosine = waves.cosine.gather(1, at).squeeze(1), sine = waves.sine.gather(1, at).squeeze(1);
  return {torch::stack({cosine, sine}, 1), (cosine.square() + sine.square()).sqrt(),
          torch::atan2(sine, cosine)};
}

struct Neurons {
  Waves left, right, output;
  Tensor frequency, share;  // [neurons]: the frequency of the inputs; 0 where both are constant
  Tensor size;              // [neurons]: norm of the inputs x norm of the output
  Tensor alive, group;      // [neurons]: bool; the frequency of those in a group, 0 for the others
  Star left_star, right_star, output_star;
};

Neurons read_neurons(const orrery::Observation& observation, const orrery::CyclicView& view,
                     const Params& params) {
  const int64_t n = view.order();
  const auto pre = view.inputs(orrery::neuron_activations(observation, "hook_pre").select(1, 0));
  const auto by_pair = pre.to(torch::kFloat64).view({n, n, pre.size(1)});
  Neurons neurons;
  neurons.left = waves_of(by_pair.mean(1).t());
  neurons.right = waves_of(by_pair.mean(0).t());
  neurons.output = waves_of(view.classes(orrery::neurons_to_logits(observation)));

  const auto energy = neurons.left.energy + neurons.right.energy;
  const auto [largest, frequency] = energy.max(1);
  const auto total = energy.sum(1);
  neurons.frequency = frequency;
  neurons.share = largest / total.clamp_min(std::numeric_limits<double>::min());
  neurons.size = ((total / 2) * neurons.output.energy.sum(1)).sqrt();
  neurons.alive = torch::logical_and(neurons.size > 0, neurons.size >= neurons.size.max() * params.min_size);
  const auto member = torch::logical_and(neurons.alive, neurons.share >= params.threshold);
  neurons.group = torch::where(member, frequency, torch::zeros_like(frequency));
  neurons.left_star = star_of(neurons.left, frequency);
  neurons.right_star = star_of(neurons.right, frequency);
  neurons.output_star = star_of(neurons.output, frequency);
  return neurons;
}

// Angles reduced to -pi to pi.
Tensor wrapped(const Tensor& angle) { return angle - (angle / (2 * M_PI)).round() * (2 * M_PI); }

std::vector<int64_t> listed(const Tensor& x) {
  const auto flat = x.to(torch::kInt64).contiguous();
  return {flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + flat.numel()};
}

// The phases output - left - right (output - 2 input if the operands are treated alike) of the neurons
// `members`, as points on a circle: their mean, weighted by what the amplitudes of a neuron can contribute.
struct Offset {
  double cosine = 0, sine = 0;
  double mean() const { return std::atan2(sine, cosine); }
  double deviation() const { return std::sqrt(2 * std::max(0.0, 1 - std::hypot(cosine, sine))); }
};

Offset offset_of(const Neurons& neurons, const Tensor& members) {
  const auto angle = neurons.output_star.phase - neurons.left_star.phase - neurons.right_star.phase;
  const auto input = (neurons.left_star.amplitude * neurons.right_star.amplitude).sqrt();
  const auto weight = (input * neurons.output_star.amplitude).index_select(0, members);
  const double total = weight.sum().item<double>();
  if (total == 0) return {};
  const auto mean = [&](const Tensor& x) {
    return (x.index_select(0, members) * weight).sum().item<double>() / total;
  };
  return {mean(angle.cos()), mean(angle.sin())};
}

// How evenly the phases of a group of m neurons go around the circle: the angle between neighbours, as a
// multiple of 2 pi / m. Both are 1 where the neurons are evenly spaced.
struct Gaps {
  double smallest = 0, largest = 0;
};

Gaps gaps_of(const Tensor& phases) {
  const auto sorted = std::get<0>(phases.sort());
  const auto next = torch::cat({sorted.slice(0, 1), sorted.narrow(0, 0, 1) + 2 * M_PI});
  const auto gaps = (next - sorted) * (double(phases.size(0)) / (2 * M_PI));
  return {gaps.min().item<double>(), gaps.max().item<double>()};
}

// The logits about their mean over classes, and the part that neurons account for.
class Contributions {
 public:
  Contributions(const orrery::Observation& observation, const orrery::CyclicView& view,
                const Neurons& neurons)
      : output_(neurons.output.values) {
    const int64_t n = view.order();
    post_ =
        view.inputs(orrery::neuron_activations(observation, "hook_post").select(1, 0)).to(torch::kFloat64);
    logits_ = view.classes(view.logits());
    logits_ = logits_ - logits_.mean(1, true);
    const auto i = torch::arange(n, torch::kInt64);
    correct_ = (i.unsqueeze(1) + i).remainder(n).view({n * n, 1});
    rival_ = logits_.scatter(1, correct_, -std::numeric_limits<double>::infinity()).argmax(1, true);
  }

  Tensor of(const Tensor& members) const {
    return post_.index_select(1, members).matmul(output_.index_select(0, members));
  }
  const Tensor& all() const { return logits_; }
  // The part of the sum of squares of the logits that `part` accounts for; parts that add up have shares that
  // do.
  double share(const Tensor& part) const {
    const double square = logits_.square().sum().item<double>();
    return square > 0 ? (part * logits_).sum().item<double>() / square : 0;
  }
  // The mean over pairs of `part` at the correct class minus that at the best wrong one.
  const Tensor& post() const { return post_; }  // [n*n, neurons] float64
  double margin(const Tensor& part) const {
    return (part.gather(1, correct_) - part.gather(1, rival_)).mean().item<double>();
  }

 private:
  Tensor output_, post_, logits_, correct_, rival_;
};

// The `count` largest neurons, by group, in a group by the phase of the input; those in no group last, by
// size.
Tensor drawing_order(const Neurons& neurons, int64_t count) {
  const auto largest = listed(neurons.size.argsort(0, /*descending=*/true));
  std::vector<int64_t> order(largest.begin(), largest.begin() + std::min(count, int64_t(largest.size())));
  const auto group = listed(neurons.group);
  const auto phase = neurons.left_star.phase.contiguous();
  const double* phases = phase.data_ptr<double>();
  std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) {
    if (group[x] != group[y]) return group[y] == 0 || (group[x] != 0 && group[x] < group[y]);
    return group[x] != 0 && phases[x] < phases[y];
  });
  return torch::tensor(order, torch::kInt64);
}

// Networks whose neurons have another input than hook_pre, or whose W_out W_U is not what they add to the
// logits.
std::string refuse_other_neurons(const orrery::Model& model, const orrery::TaskSpec& spec) {
  using Config = orrery::TransformerConfig;
  const std::string gated = orrery::refuse_gated_mlp(model, spec);
  const Config* const config = model.transformer_config();
  if (!gated.empty() || !config || config->normalization_type == Config::Normalization::none) return gated;
  if (!config->final_norm && config->normalization_place == Config::NormalizationPlace::pre) return "";
  return "it takes W_out W_U for what neurons add to the logits; this model has normalization_type \"" +
         name_of(config->normalization_type) + "\" behind them";
}

class NeuronWaves final : public orrery::Probe {
 public:
  explicit NeuronWaves(Params params) : params_(params) {}

  orrery::Needs needs() const override {
    return {.structure = {orrery::Capability::cyclic},
            .activations = {"*mlp.hook_pre", "*mlp.hook_post"},
            .weights = {"*mlp.W_out"},
            .refusal = refuse_other_neurons};
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    const orrery::CyclicView view(observation);
    const Neurons neurons = read_neurons(observation, view, params_);
    std::vector<int64_t> frequencies;
    for (int64_t k = 1; k <= view.order() / 2; ++k)
      if ((neurons.group == k).any().item<bool>()) frequencies.push_back(k);
    groups(frequencies, view.order(), neurons, recorder);
    const Contributions logits(observation, view, neurons);
    const auto shares = contributions(logits, frequencies, neurons, recorder);
    tensors(neurons, recorder);
    heatmaps(neurons, recorder);
    const auto groups = drawn_groups(frequencies, neurons);
    const auto star = [&](const char* name, const char* title, const std::string& of, const Star& points) {
      recorder.figure(scatter(name, title, "coefficient of cos w_k " + of, "coefficient of sin w_k " + of,
                              points.points.select(1, 0), points.points.select(1, 1), groups));
    };
    star("input_star", "Star of the input waves: one point for each neuron", "a (pre-activation)",
         neurons.left_star);
    star("output_star", "Star of the output waves: one point for each neuron", "c (logit per activation)",
         neurons.output_star);
    recorder.figure(scatter(
        "angle_doubling", "Angle doubling: the output phase is the sum of the input phases",
        "phase of a + phase of b (radians)", "phase of the output (radians)",
        wrapped(neurons.left_star.phase + neurons.right_star.phase), neurons.output_star.phase, groups));
    std::vector<neuron_waves::Group> found;
    for (size_t i = 0; i < frequencies.size(); ++i)
      found.push_back({frequencies[i], members(neurons.group == frequencies[i]), shares[i]});
    inputs(observation, view, logits.post(), found, neurons, recorder);
  }

 private:
  static Tensor members(const Tensor& which) { return which.nonzero().flatten(); }

  static void groups(const std::vector<int64_t>& frequencies, int64_t order, const Neurons& neurons,
                     orrery::Recorder& recorder) {
    recorder.panel("n_groups", "Number of groups of neurons with one frequency", "groups (count)");
    recorder.panel("angle_doubling", "Angle doubling: output phase against twice the input phase",
                   "mean cosine");
    recorder.panel("neurons", "Neurons in each group", "neurons (count)");
    for (const char* angle : {"angle_offset", "angle_deviation"})
      recorder.panel(angle, "Output phase less twice the input phase: mean and deviation by group",
                     "angle (radians)");
    for (const char* gap : {"smallest_gap", "largest_gap"})
      recorder.panel(gap, "Phases of neighbouring neurons of a group: 1 if evenly spaced",
                     "gap (of even spacing)");
    recorder.panel("size_ratio", "The smallest neuron of each group over the largest", "ratio");
    std::vector<double> shares;
    recorder.headline("n_groups", double(frequencies.size()));
    recorder.headline("angle_doubling", offset_of(neurons, members(neurons.alive)).cosine);
    for (const int64_t k : frequencies) {
      const auto group = members(neurons.group == k);
      const Offset offset = offset_of(neurons, group);
      const std::string name = "k=" + std::to_string(k);
      recorder.scalar(name + "/neurons", double(group.size(0)));
      recorder.scalar(name + "/angle_offset", offset.mean());
      recorder.scalar(name + "/angle_deviation", offset.deviation());
      evenness(name, neurons, group, recorder);
      shares.push_back(double(group.size(0)) / double(neurons.group.size(0)));
    }
    recorder.finding(orrery::key_frequencies_finding(order, frequencies, shares));
  }

  static void evenness(const std::string& name, const Neurons& neurons, const Tensor& group,
                       orrery::Recorder& recorder) {
    const Gaps gaps = gaps_of(neurons.left_star.phase.index_select(0, group));
    recorder.scalar(name + "/smallest_gap", gaps.smallest);
    recorder.scalar(name + "/largest_gap", gaps.largest);
    const auto size = neurons.size.index_select(0, group);
    recorder.scalar(name + "/size_ratio", (size.min() / size.max()).item<double>());
  }

  // Returns the share of each group in the logits.
  static std::vector<double> contributions(const Contributions& logits,
                                           const std::vector<int64_t>& frequencies, const Neurons& neurons,
                                           orrery::Recorder& recorder) {
    std::vector<double> shares;
    recorder.panel("logit_share", "What the groups of neurons explain of the logits",
                   "share of the variance");
    recorder.panel("margin", "Margin of the right answer that each group adds to the logits",
                   "margin (nats)");
    recorder.panel("margin_share", "Share of each group in the margin of the right answer",
                   "share of the margin");
    const double margin = logits.margin(logits.all()), nan = std::numeric_limits<double>::quiet_NaN();
    const auto record = [&](const std::string& name, const Tensor& part) {
      recorder.scalar(name + "/logit_share", logits.share(part));
      recorder.scalar(name + "/margin", logits.margin(part));
      recorder.scalar(name + "/margin_share", margin > 0 ? logits.margin(part) / margin : nan);
    };
    auto rest = logits.all();
    for (const int64_t k : frequencies) {
      const auto part = logits.of(members(neurons.group == k));
      record("k=" + std::to_string(k), part);
      shares.push_back(logits.share(part));
      rest = rest - part;
    }
    record("rest", rest);
    recorder.headline("logit_share", logits.share(logits.all() - rest));
    recorder.scalar("margin", margin);
    return shares;
  }

  static void tensors(const Neurons& neurons, orrery::Recorder& recorder) {
    recorder.tensor("neuron_frequency", neurons.frequency.to(torch::kInt32));
    recorder.tensor("neuron_share", neurons.share.to(torch::kFloat32));
    recorder.tensor("neuron_size", neurons.size.to(torch::kFloat32));
    recorder.tensor("neuron_group", neurons.group.to(torch::kInt32));
    recorder.tensor("star/left", neurons.left_star.points.to(torch::kFloat32));
    recorder.tensor("star/right", neurons.right_star.points.to(torch::kFloat32));
    recorder.tensor("star/output", neurons.output_star.points.to(torch::kFloat32));
  }

  // What the groups do with each input, and with the one that is drawn.
  void inputs(const orrery::Observation& observation, const orrery::CyclicView& view, const Tensor& post,
              const std::vector<neuron_waves::Group>& groups, const Neurons& neurons,
              orrery::Recorder& recorder) const {
    const int64_t n = view.order();
    const auto pre = view.inputs(orrery::neuron_activations(observation, "hook_pre").select(1, 0));
    neuron_waves::active_neurons(pre, members(neurons.alive), groups, recorder);
    neuron_waves::wave_lines(neurons.left.values, neurons.size, groups, params_.max_lines, recorder);
    neuron_waves::output_angles(post, neurons.output_star.points, groups, n, recorder);
    const auto input = neuron_waves::Input::chosen(params_.input, n);
    const auto here = post[input.i * n + input.j];
    const auto order = drawing_order(neurons, params_.max_drawn);
    neuron_waves::group_logits(here, neurons.output.values, groups, input, recorder);
    neuron_waves::neuron_contributions(here, neurons.output.values, order, row_names(order, neurons.group),
                                       input, recorder);
  }

  void heatmaps(const Neurons& neurons, orrery::Recorder& recorder) const {
    const auto order = drawing_order(neurons, params_.max_drawn);
    recorder.tensor("drawn", order.to(torch::kInt32));
    const auto names = row_names(order, neurons.group);
    const auto heatmap = [&](const char* name, const char* title, const char* x_label, const char* scale,
                             const Waves& waves) {
      const auto rows = waves.values.index_select(0, order).to(torch::kFloat32);
      recorder.tensor(name, rows);
      recorder.figure(orrery::Figure::heatmap(name, title, {x_label},
                                              {"group: neuron, by phase of the input", names}, scale, rows));
    };
    heatmap("input_waves", "Input waves: what reaches each neuron from a, less its mean", "a",
            "pre-activation", neurons.left);
    heatmap("output_waves", "Output waves: what each neuron adds to the logits, less its mean", "answer c",
            "logit per activation", neurons.output);
  }

  // "k=14: 233", neuron 233 in the group of frequency 14, for each of `order`.
  static std::vector<std::string> row_names(const Tensor& order, const Tensor& group) {
    std::vector<std::string> names;
    const auto groups = listed(group);
    for (const int64_t neuron : listed(order))
      names.push_back((groups[neuron] ? "k=" + std::to_string(groups[neuron]) : "no group") + ": " +
                      std::to_string(neuron));
    return names;
  }

  // The neurons of each group and, last, those of `min_size` or more in none; int64, by name.
  static std::vector<std::pair<std::string, Tensor>> drawn_groups(const std::vector<int64_t>& frequencies,
                                                                  const Neurons& neurons) {
    std::vector<std::pair<std::string, Tensor>> groups;
    for (const int64_t k : frequencies)
      groups.emplace_back("k=" + std::to_string(k), members(neurons.group == k));
    const auto rest = members(torch::logical_and(neurons.alive, neurons.group == 0));
    if (rest.size(0) > 0) groups.emplace_back("no group", rest);
    return groups;
  }

  static orrery::Figure scatter(const char* name, const char* title, const std::string& x_label,
                                const std::string& y_label, const Tensor& x, const Tensor& y,
                                const std::vector<std::pair<std::string, Tensor>>& groups) {
    orrery::Figure figure{name, orrery::Figure::Kind::scatter, title, x_label, y_label, {}};
    figure.equal_axes = true;
    const auto of = [](const Tensor& values, const Tensor& group) {
      return values.index_select(0, group).to(torch::kFloat32);
    };
    for (const auto& [group, neurons] : groups)
      figure.traces.push_back({group, of(x, neurons), of(y, neurons), {}});
    return figure;
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(NeuronWaves, Params, "neuron_waves", "1.3.0",
             "The waves that neurons read and write, grouped by frequency.")
