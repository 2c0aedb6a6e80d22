// Clock or pizza? (Zhong, Liu, Tegmark & Andreas 2023, "The Clock and the Pizza") Two circuits add angles w a
// and w b, w = 2 pi k / p. The clock multiplies: its logit is cos w(a + b - c), and the gradients of it with
// respect to the embeddings of a and b have the cosine cos w(a - b), 0 on average. The pizza looks at the
// midpoint of the two, cos(w(a - b)/2) (cos, sin)(w(a + b)/2): its logit is |cos(w(a - b)/2)| cos w(a + b -
// c), the gradients are equal, and pairs with w(a - b) near pi are badly off. So the correct logit of a clock
// does not depend on the distance a - b; that of a pizza depends on nothing else.
#include <c10/core/GradMode.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/hooks.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <limits>

#include "triples.h"

namespace {

using torch::Tensor;

constexpr int64_t kComponents = 4;  // principal components that circularity looks at

struct Params {
  std::string triples = "drawn";
  int64_t n_triples = 100;
  std::string file, tensor;
  static void fields(orrery::Fields<Params>& f) {
    f.add("triples", &Params::triples, "which triples (a, b, c) the gradients are taken at")
        .one_of({"drawn", "zhong", "file"});
    f.add("n_triples", &Params::n_triples, "triples drawn, zhong: how many; all n^3 where it is more")
        .between(1, 10'000);
    f.add("file", &Params::file, "triples file: a safetensors file");
    f.add("tensor", &Params::tensor, "triples file: the tensor's name; may be empty if it is the only one");
  }
};

// The gradients of the logit of c at a + b with respect to the activation at `hook_embed`: [triples,
// positions, d]. Only the embeddings are differentiated, so the gradients of the weights are untouched.
Tensor embedding_gradients(const orrery::Observation& observation, const Tensor& tokens,
                           const Tensor& classes) {
  const at::AutoGradMode with_gradients(true);
  const auto device = observation.model.device();
  Tensor embed;
  const auto substitute = [&embed](const Tensor& activation) {
    return embed = activation.detach().clone().requires_grad_(true);
  };
  const auto logits =
      orrery::run_with_hooks(observation.model, tokens.to(device), {{"hook_embed", substitute}})
          .select(1, observation.spec.read_out.front());
  const std::vector<Tensor> inputs{embed};
  logits.gather(1, classes.unsqueeze(1).to(device)).sum().backward({}, {}, false, at::TensorList(inputs));
  return embed.grad().to(torch::kCPU, torch::kFloat64);
}

// The cosine of each row of x and y; 0 where one of them is 0.
Tensor cosines(const Tensor& x, const Tensor& y) {
  const auto lengths = x.square().sum(1).sqrt() * y.square().sum(1).sqrt();
  return (x * y).sum(1) / lengths.clamp_min(std::numeric_limits<double>::min());
}

// The logit of the right answer, entry (d, i) for the pair (i, i + d): [n, n].
Tensor correct_logits(const orrery::CyclicView& view) {
  const int64_t n = view.order();
  const auto i = torch::arange(n, torch::kInt64), d = i.unsqueeze(1);
  const auto pair = i * n + (i + d).remainder(n), answer = (2 * i + d).remainder(n);
  return view.classes(view.logits()).flatten().index_select(0, (pair * n + answer).flatten()).view({n, n});
}

double deviation(const Tensor& x) { return x.std(/*unbiased=*/false).item<double>(); }

// Definition 4.2. Logits that are constant up to rounding in float32 do not vary with the distance either.
double distance_irrelevance(const Tensor& correct) {
  const double all = deviation(correct);
  if (all <= 1e-6 * correct.abs().max().item<double>()) return 1;
  return correct.std(at::IntArrayRef{1}, /*unbiased=*/false).mean().item<double>() / all;
}

// The principal components of an embedding [n, d], and how circular each is.
struct Circles {
  Tensor scores;                  // [n, components]
  Tensor circularity, frequency;  // [components] float64, int64
};

Circles circles_of(const Tensor& embedding) {
  const auto x = embedding.to(torch::kFloat64);
  const auto [U, S, Vh] = at::linalg_svd(x - x.mean(0), /*full_matrices=*/false);
  const auto kept = (S > S[0] * 1e-6).sum().item<int64_t>();  // what is less is rounding in float32
  const int64_t components = std::min(kComponents, kept);
  Circles circles{U.narrow(1, 0, components) * S.narrow(0, 0, components),
                  torch::zeros({components}, torch::kFloat64), torch::zeros({components}, torch::kInt64)};
  const int64_t below_half = (x.size(0) - 1) / 2;  // two points, +1 and -1, are no circle
  for (int64_t l = 0; l < components && below_half > 0; ++l) {
    const auto shares = orrery::fourier_norms(U.select(1, l)).square().narrow(0, 1, below_half);
    const auto [largest, at] = shares.max(0);
    circles.circularity[l] = largest.clamp_max(1.0);
    circles.frequency[l] = at + 1;
  }
  return circles;
}

orrery::Figure scatter(const char* name, const char* title, const char* x_label, const char* y_label) {
  return {name, orrery::Figure::Kind::scatter, title, x_label, y_label, {}};
}

class ClockPizza final : public orrery::Probe {
 public:
  explicit ClockPizza(Params params) : params_(std::move(params)) {
    if ((params_.triples == "file") == params_.file.empty())
      throw orrery::UsageError(params_.file.empty()
                                   ? "triples \"file\" needs file"
                                   : "a file is given, but triples is \"" + params_.triples + "\"",
                               "set triples = \"file\" and file to a safetensors file, or leave both out");
    if (params_.file.empty() && !params_.tensor.empty())
      throw orrery::UsageError("a tensor is named, but no file", "set file, or leave tensor out");
  }

  orrery::Needs needs() const override {
    return {.structure = {orrery::Capability::cyclic}, .activations = {"hook_embed"}};
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    recorder.panel("gradient_symmetricity", "Gradient symmetricity: 1 for a pizza", "mean cosine");
    recorder.panel("distance_irrelevance", "Distance irrelevance: 0 for a pizza, 1 for a clock",
                   "share of the deviation");
    recorder.panel("circularity", "Circularity of the principal components of the embedding",
                   "share of the variance");
    const orrery::CyclicView view(observation);
    gradients(observation, view, recorder);
    distances(view, recorder);
    embedding(view, recorder);
  }

 private:
  void gradients(const orrery::Observation& observation, const orrery::CyclicView& view,
                 orrery::Recorder& recorder) const {
    const int64_t n = view.order();
    const auto triples = triples_of(n);
    const auto i = triples.select(1, 0), j = triples.select(1, 1);
    const auto tokens = view.inputs(observation.inputs.tokens).index_select(0, i * n + j);
    const auto classes = view.classes(torch::arange(observation.spec.d_vocab_out, torch::kInt64))
                             .index_select(0, triples.select(1, 2));
    const auto gradient = embedding_gradients(observation, tokens, classes);
    const auto& cyclic = *observation.structure.cyclic;
    const auto cosine =
        cosines(gradient.select(1, cyclic.left_position), gradient.select(1, cyclic.right_position));
    recorder.headline("gradient_symmetricity", cosine.mean().item<double>());
    recorder.tensor("triples", triples.to(torch::kInt32));
    recorder.tensor("gradient_cosines", cosine.to(torch::kFloat32));
    auto drawn =
        scatter("gradient_cosines", "Gradient symmetricity: do both operands pull a logit the same way?",
                "distance b - a (mod n)", "cosine of the gradients by the two embeddings");
    drawn.traces.push_back({"triples", (j - i).remainder(n), cosine.to(torch::kFloat32), {}});
    recorder.figure(std::move(drawn));
  }

  Tensor triples_of(int64_t n) const {
    if (params_.triples == "file") return clock_pizza::triples_in_file(params_.file, params_.tensor, n);
    return params_.triples == "zhong" ? clock_pizza::zhong_triples(params_.n_triples, n)
                                      : clock_pizza::drawn_triples(params_.n_triples, n);
  }

  static void distances(const orrery::CyclicView& view, orrery::Recorder& recorder) {
    const auto correct = correct_logits(view);
    recorder.headline("distance_irrelevance", distance_irrelevance(correct));
    recorder.tensor("correct_logits", correct.to(torch::kFloat32));
    recorder.figure(orrery::Figure::heatmap(
        "correct_logits", "Logit of the right answer, less its mean: a pizza has rows of one colour", {"a"},
        {"distance b - a (mod n)"}, "logit", (correct - correct.mean()).to(torch::kFloat32)));
  }

  // "1 (k=5)": counted from 1, with its frequency.
  static std::string component(const Circles& circles, int64_t l) {
    return std::to_string(l + 1) + " (k=" + std::to_string(circles.frequency[l].item<int64_t>()) + ")";
  }

  static void embedding(const orrery::CyclicView& view, orrery::Recorder& recorder) {
    const Circles circles = circles_of(view.embedding());
    const int64_t components = circles.frequency.size(0);
    recorder.headline("circularity", components > 0 ? circles.circularity.mean().item<double>() : 0);
    recorder.tensor("component_circularity", circles.circularity.to(torch::kFloat32));
    recorder.tensor("component_frequency", circles.frequency.to(torch::kInt32));
    auto drawn =
        scatter("circles", "Circles: principal components of the embedding, one point for each number",
                "score on component 1 or 3 (units of the weights)",
                "score on component 2 or 4 (units of the weights)");
    drawn.equal_axes = true;
    const auto scores = circles.scores.to(torch::kFloat32);
    for (int64_t l = 0; l + 1 < components; l += 2)
      drawn.traces.push_back({"components " + component(circles, l) + " and " + component(circles, l + 1),
                              scores.select(1, l),
                              scores.select(1, l + 1),
                              {}});
    recorder.figure(std::move(drawn));
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(ClockPizza, Params, "clock_pizza", "1.2.0",
             "Clock or pizza: gradient symmetricity, distance irrelevance, circularity.")
