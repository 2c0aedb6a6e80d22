// Where does each attention head look from the output positions? (Nanda et al. 2023, section 4) In a network
// that adds a + b mod p, the attention from "=" to a is a periodic function of a and of b: with p = 113 and a
// key frequency 14, a head may look at a with 1/2 + 1/4 (cos w a - cos w b), w = 2 pi 14 / 113, and at b with
// the rest: stripes in the p x p heatmap over a and b, and a wave in its mean over b with nearly all its
// variance at frequency 14. If the operands are not two elements of a group, only the mean pattern over the
// inputs is recorded, by position.
#include <orrery/fourier.h>
#include <orrery/operand_grid.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace {

using orrery::Axis;
using orrery::Figure;
using orrery::HeadPattern;
using orrery::Observation;
using orrery::Recorder;
using torch::Tensor;

struct Params {
  std::string inputs = "grid";
  std::string operands = "left";
  int64_t max_drawn = 65536;

  static void fields(orrery::Fields<Params>& f) {
    f.add("inputs", &Params::inputs, "what the heads look at: every possible input, or a set")
        .one_of({"grid", "train", "test"});
    f.add("operands", &Params::operands, "the operands whose heatmaps are drawn").one_of({"left", "both"});
    f.add("max_drawn", &Params::max_drawn,
          "numbers in the heatmaps of a checkpoint: heads that no longer fit are not drawn")
        .at_least(1);
  }
};

std::vector<std::string> names_of(const std::vector<HeadPattern>& heads) {
  std::vector<std::string> names;
  for (const HeadPattern& head : heads) names.push_back(head.name);
  return names;
}

// Two operands that are elements of a group, and the pair of each input that has both.
struct Operands {
  orrery::OperandIndices indices;
  bool cyclic = false;
  Tensor rows;   // int64 [inputs with both]: which these are
  Tensor pairs;  // int64, likewise: i * n + j

  int64_t n() const { return indices.order(); }
};

std::optional<Operands> operands_of(const Observation& seen) {
  const auto& cyclic = seen.structure.cyclic;
  const auto& group = seen.structure.group;
  if (!cyclic && !group) return {};
  const auto indices = cyclic ? orrery::OperandIndices(*cyclic) : orrery::OperandIndices(*group);
  const Tensor pairs = indices.pairs(seen.inputs.tokens), rows = (pairs >= 0).nonzero().flatten();
  return Operands{indices, cyclic.has_value(), rows, pairs.index_select(0, rows)};
}

// x [inputs], laid out over the two operands: [n, n]. Pairs that do not occur are NaN.
Tensor laid_out(const Operands& of, const Tensor& x) {
  const Tensor all = torch::full({of.n() * of.n()}, std::nan(""), torch::kFloat32);
  return all.index_copy(0, of.pairs, x.index_select(0, of.rows).to(torch::kFloat32)).view({of.n(), of.n()});
}

// Names of the positions; operands and output positions are marked.
std::vector<std::string> position_names(const Observation& seen, const std::optional<Operands>& of) {
  std::vector<std::string> names;
  for (int64_t position = 0; position < seen.spec.n_ctx; ++position)
    names.push_back(std::to_string(position));
  if (!of) return names;
  for (const int64_t position : seen.spec.read_out) names[position] += " (read out)";
  names[of->indices.left_position()] = "a";
  names[of->indices.right_position()] = "b";
  return names;
}

class AttentionPatterns final : public orrery::Probe {
 public:
  explicit AttentionPatterns(Params params) : params_(std::move(params)) {}

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.inputs = params_.inputs == "grid"    ? orrery::Inputs::grid
                   : params_.inputs == "train" ? orrery::Inputs::train
                                               : orrery::Inputs::test;
    needs.activations = {"blocks.*.attn.hook_pattern"};
    return needs;
  }

  void measure(const Observation& seen, Recorder& recorder) override {
    recorder.panel("attention", "Attention of each head to an operand, mean over pairs", "attention");
    recorder.panel("frequency", "Strongest frequency in each head's attention to an operand", "frequency k");
    recorder.panel("frequency_share",
                   "What its strongest frequency explains of each head's attention to an operand",
                   "share of the variance");
    const std::vector<HeadPattern> heads = orrery::heads_in(seen.cache);
    const auto operands = operands_of(seen);
    mean_patterns(seen, heads, position_names(seen, operands), recorder);
    if (operands && seen.spec.read_out.size() == 1) over_operands(*operands, heads, recorder);
  }

 private:
  // [heads, n_read, n_ctx]. Rows are output positions, or heads if there is only one output position.
  void mean_patterns(const Observation& seen, const std::vector<HeadPattern>& heads,
                     const std::vector<std::string>& positions, Recorder& recorder) const {
    std::vector<Tensor> means;
    for (const HeadPattern& head : heads) means.push_back(head.pattern.mean(0).to(torch::kFloat32));
    recorder.tensor("mean_pattern", torch::stack(means));
    if (seen.spec.read_out.size() == 1)
      return recorder.figure(
          heatmap("mean_pattern", "Mean attention pattern from the position that is read out",
                  {"position attended to", positions}, {"head", names_of(heads)}, torch::cat(means)));
    std::vector<std::string> read_out;
    for (const int64_t position : seen.spec.read_out) read_out.push_back(positions[position]);
    const int64_t fit = params_.max_drawn / means.front().numel();
    for (size_t h = 0; h < heads.size() && static_cast<int64_t>(h) < fit; ++h)
      recorder.figure(heatmap("mean_pattern_head_" + orrery::file_safe_name(heads[h].name),
                              "Mean attention pattern of head " + heads[h].name,
                              {"position attended to", positions}, {"position that attends", read_out},
                              means[h]));
  }

  void over_operands(const Operands& of, const std::vector<HeadPattern>& heads, Recorder& recorder) const {
    int64_t room = params_.max_drawn / (of.n() * of.n());
    for (const bool left : {true, false}) {
      const std::string letter = left ? "a" : "b";
      const int64_t position = left ? of.indices.left_position() : of.indices.right_position();
      orrery::Series waves;
      for (const HeadPattern& head : heads) {
        const Tensor to = laid_out(of, head.pattern.select(1, 0).select(1, position));
        const Tensor own = to.to(torch::kFloat64).nanmean(left ? 1 : 0);
        scalars(head.name + "/" + letter, to, own, of, recorder);
        waves.emplace_back("head " + head.name, own.to(torch::kFloat32));
        if ((left || params_.operands == "both") && room-- > 0) draw(head, letter, to, recorder);
      }
      recorder.figure(Figure::line("mean_to_" + letter,
                                   "Attention to " + letter + ", mean over " + (left ? "b" : "a"),
                                   numbered({letter}, of.n()), "attention", waves));
    }
  }

  // The mean attention to an operand, and the frequency of its wave. own: [n], the mean over the other
  // operand.
  static void scalars(const std::string& name, const Tensor& to, const Tensor& own, const Operands& of,
                      Recorder& recorder) {
    recorder.scalar("attention/" + name, to.to(torch::kFloat64).nanmean().item<double>());
    if (!of.cyclic || of.n() < 2 || own.isnan().any().item<bool>()) return;
    const Tensor energy = orrery::fourier_norms(own - own.mean()).square().slice(0, 1);
    const double total = energy.sum().item<double>();
    recorder.scalar("frequency/" + name, static_cast<double>(energy.argmax().item<int64_t>() + 1));
    recorder.scalar("frequency_share/" + name, total > 0 ? energy.max().item<double>() / total : 0);
  }

  static void draw(const HeadPattern& head, const std::string& letter, const Tensor& to, Recorder& recorder) {
    recorder.figure(
        heatmap("head_" + orrery::file_safe_name(head.name) + "_to_" + letter,
                "Attention of head " + head.name + " from the position that is read out to " + letter, {"b"},
                {"a"}, to));
  }

  static Figure heatmap(const std::string& name, const std::string& title, const Axis& x, const Axis& y,
                        const Tensor& z) {
    return Figure::heatmap(name, title, numbered(x, z.size(1)), numbered(y, z.size(0)), "attention", z);
  }

  // In int32, so that figures keep the dtype of earlier versions.
  static Axis numbered(Axis axis, int64_t n) {
    axis.at = torch::arange(n, torch::kInt32);
    return axis;
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(AttentionPatterns, Params, "attention_patterns", "1.0.0",
             "Where attention heads look, by position and over the operands.")
