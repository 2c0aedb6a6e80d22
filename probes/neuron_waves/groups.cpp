#include "groups.h"

#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace neuron_waves {
namespace {

using orrery::Figure;
using orrery::Recorder;
using torch::Tensor;

Tensor small(const Tensor& x) { return x.to(torch::kFloat32).contiguous(); }

// cos w_k(s - c) over the classes c.
Tensor cosine(int64_t k, int64_t s, int64_t n) {
  const Tensor steps = (k * (s - torch::arange(n, torch::kInt64))).remainder(n);
  return (steps.to(torch::kFloat64) * (2 * M_PI / double(n))).cos();
}

double correlation(const Tensor& x, const Tensor& y) {
  const Tensor a = x - x.mean(), b = y - y.mean();
  const double squares = (a.square().sum() * b.square().sum()).item<double>();
  return squares > 0 ? a.dot(b).item<double>() / std::sqrt(squares) : 0;
}

std::string of_input(const Input& input) {
  return "a = " + std::to_string(input.i) + ", b = " + std::to_string(input.j);
}

}  // namespace

Input Input::chosen(const std::vector<int64_t>& given, int64_t n) {
  if (given.empty()) return {n / 3, n / 4};
  if (given.size() != 2)
    throw orrery::UsageError("input: expected two numbers, a and b, got " + std::to_string(given.size()),
                             "set input = [" + std::to_string(n / 3) + ", " + std::to_string(n / 4) + "]");
  for (const int64_t x : given)
    if (x < 0 || x >= n)
      throw orrery::UsageError(
          "input: " + std::to_string(x) + " does not exist; indices run from 0 to " + std::to_string(n - 1),
          "choose two of these");
  return {given[0], given[1]};
}

void active_neurons(const Tensor& pre, const Tensor& alive, const std::vector<Group>& groups,
                    Recorder& recorder) {
  recorder.panel("active_neurons", "Neurons that are active for an input", "neurons (count)");
  const auto record = [&](const std::string& name, const Tensor& members) {
    const Tensor active = (pre.index_select(1, members) > 0).sum(1).to(torch::kFloat64);  // [n*n]
    recorder.scalar(name + "/min", active.min().item<double>());
    recorder.scalar(name + "/max", active.max().item<double>());
    recorder.scalar(name + "/mean", active.mean().item<double>());
  };
  record("active_neurons", alive);
  for (const Group& group : groups) record(group.name() + "/active_neurons", group.members);
}

void group_logits(const Tensor& post, const Tensor& output, const std::vector<Group>& groups,
                  const Input& input, Recorder& recorder) {
  recorder.panel("logit_correlation", "Logits of each group for one input: correlation with the cosine",
                 "correlation");
  recorder.panel("group_logits/correlation", "Logits of the groups for one input: the worst correlation",
                 "correlation");
  const int64_t n = output.size(1);
  Figure figure{"group_logits",
                Figure::Kind::line,
                "What each group adds to the logits for " + of_input(input) + ", beside cos w_k(a + b - c)",
                "answer c",
                "logit, less its mean",
                {}};
  double least = std::numeric_limits<double>::infinity();
  for (const Group& group : groups) {
    const Tensor logits = post.index_select(0, group.members).matmul(output.index_select(0, group.members));
    const Tensor wave = cosine(group.frequency, input.i + input.j, n);
    const double of_group = correlation(logits, wave);
    if (group.logit_share >= kLeastLogitShare) least = std::min(least, of_group);
    recorder.scalar(group.name() + "/logit_correlation", of_group);
    const Tensor fitted = wave * (logits.dot(wave) / wave.square().sum().clamp_min(1e-30));
    figure.traces.push_back({"group", {}, small(logits), {}, {}, {}, group.name()});
    figure.traces.push_back({"cosine of its height", {}, small(fitted), {}, {}, {}, group.name()});
  }
  recorder.figure(std::move(figure));
  recorder.scalar("group_logits/correlation", std::isinf(least) ? 0 : least);
}

void neuron_contributions(const Tensor& post, const Tensor& output, const Tensor& drawn,
                          const std::vector<std::string>& names, const Input& input, Recorder& recorder) {
  const Tensor added = output.index_select(0, drawn) * post.index_select(0, drawn).unsqueeze(1);
  recorder.figure(Figure::heatmap("neuron_contributions",
                                  "What each neuron adds to the logits for " + of_input(input), {"answer c"},
                                  {"group: neuron, by phase of the input", names}, "logit", small(added)));
}

void wave_lines(const Tensor& waves, const Tensor& size, const std::vector<Group>& groups, int64_t max_lines,
                Recorder& recorder) {
  Figure figure{"wave_lines",
                Figure::Kind::line,
                "Input waves by group: the largest neurons of each, one line for each neuron",
                "a",
                "pre-activation, less its mean",
                {}};
  for (const Group& group : groups) {
    const Tensor by_size =
        std::get<1>(size.index_select(0, group.members).sort(0, /*descending=*/true)).slice(0, 0, max_lines);
    const Tensor lines = waves.index_select(0, group.members.index_select(0, by_size));
    for (int64_t i = 0; i < lines.size(0); ++i)
      figure.traces.push_back({group.name(), {}, small(lines[i]), {}, {}, {}, group.name()});
  }
  recorder.figure(std::move(figure));
}

void output_angles(const Tensor& post, const Tensor& star, const std::vector<Group>& groups, int64_t n,
                   Recorder& recorder) {
  recorder.panel("angle_error", "Angle of each group's output less twice that of the input: largest",
                 "angle (radians)");
  Figure figure{"output_angle",
                Figure::Kind::scatter,
                "Angle of each group's output, less twice the angle half way between a and b",
                "twice the input angle (radians)",
                "output angle less that (radians)",
                {}};
  const Tensor i = torch::arange(n, torch::kInt64), sum = (i.unsqueeze(1) + i).remainder(n).flatten();
  for (const Group& group : groups) {
    const Tensor points = post.index_select(1, group.members).matmul(star.index_select(0, group.members));
    const Tensor by_sum = torch::zeros({n, 2}, torch::kFloat64).index_add_(0, sum, points);
    const Tensor twice = (group.frequency * i).remainder(n).to(torch::kFloat64) * (2 * M_PI / double(n));
    const Tensor angle = torch::atan2(by_sum.select(1, 1), by_sum.select(1, 0)) - twice;
    const Tensor error = angle - (angle / (2 * M_PI)).round() * (2 * M_PI);
    recorder.scalar(group.name() + "/angle_error", error.abs().max().item<double>());
    figure.traces.push_back({group.name(), small(twice), small(error), {}});
  }
  recorder.figure(std::move(figure));
}

}  // namespace neuron_waves
