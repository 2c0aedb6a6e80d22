// Is a small part of the neurons responsible for what the network says? Merrill et al. 2023 ("A Tale of Two
// Circuits", arXiv 2303.11873, section 2.1; cited by Varma et al. 2023) find that a network which has grokked
// sparse parity can be pruned to a few neurons of large norm. Here: how many of the largest neurons does it
// take for the answers to the training examples to stay as they are? If 4 of 100 neurons do it, they are the
// subnetwork. How often it alone answers as the whole network does (its faithfulness), and rightly, stands
// beside the same of the other 96, and of 4 neurons drawn at random.
#include <orrery/hooks.h>
#include <orrery/operands.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <string>
#include <vector>

namespace {

using orrery::Observation;
using torch::Tensor;

enum class Size { in_out, input };
orrery::Names<Size> names_of(Size) { return {{"in_out", Size::in_out}, {"input", Size::input}}; }

struct Params {
  double agreement = 0.99;
  Size size = Size::in_out;
  int64_t controls = 10;
  bool follow = false;

  static void fields(orrery::Fields<Params>& f) {
    f.add("agreement", &Params::agreement,
          "share of the answers to the training examples that the subnetwork has to keep")
        .between(0, 1);
    f.add("size", &Params::size,
          "the size of a neuron: the norm of its input weights times that of its output weights, or of its "
          "input weights alone, as Merrill et al. have it");
    f.add("controls", &Params::controls, "random sets of as many neurons, for comparison").between(0, 1000);
    f.add(
        "follow", &Params::follow,
        "whether the neurons are those of the reference checkpoint, the last one, followed through training; "
        "not those of each checkpoint");
  }
};

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// The norm of what goes into each neuron, times that of what comes out of it unless the input alone counts:
// [d_mlp] float64. A ReLU neuron may be scaled up on one side and down on the other.
Tensor norms_of(const Observation& observation, Size size) {
  Tensor in, out;
  for (const orrery::NamedWeight& weight : observation.model.weights()) {
    const Tensor x = weight.value.detach().to(torch::kCPU, torch::kFloat64);
    if (ends_with(weight.name, "mlp.W_out")) out = x.square().sum(1);
    for (const char* name : {"mlp.W_in", "mlp.W_in_a", "mlp.W_in_b", "mlp.b_in", "mlp.W_gate"}) {
      if (!ends_with(weight.name, name)) continue;
      const Tensor squares = x.reshape({-1, x.size(-1)}).square().sum(0);
      in = in.defined() ? in + squares : squares;
    }
  }
  return size == Size::input ? in.sqrt() : (in * out).sqrt();
}

// The answers to a set of examples, and what counts of them.
class Examples {
 public:
  Examples(const Observation& observation, const orrery::Batch& batch)
      : observation_(observation), batch_(batch), as_is_(answers({})) {}

  bool empty() const { return batch_.size() == 0; }
  // Shares: of answers that stay as they are, and of those that are right, with only the neurons that `kept`
  // [d_mlp] names by 1.
  double agreement(const Tensor& kept) const { return share(with(kept) == as_is_); }
  double accuracy(const Tensor& kept) const { return share(with(kept) == batch_.labels); }

 private:
  Tensor with(const Tensor& kept) const {
    const Tensor mask = kept.to(observation_.model.device(), torch::kFloat32);
    return answers({{"*mlp.hook_post", [mask](const Tensor& post) { return post * mask; }}});
  }
  Tensor answers(const std::vector<orrery::Hook>& hooks) const {
    if (empty()) return torch::zeros_like(batch_.labels);
    const auto positions = torch::tensor(observation_.spec.read_out, torch::kInt64);
    const Tensor logits =
        orrery::run_with_hooks(observation_.model, batch_.tokens.to(observation_.model.device()), hooks)
            .to(torch::kCPU)
            .index_select(1, positions);
    if (observation_.spec.d_vocab_out == 1) return (logits.squeeze(-1) > 0).to(torch::kInt64);
    return logits.argmax(-1);
  }
  double share(const Tensor& which) const {
    const Tensor counted = batch_.scored.defined() ? which.masked_select(batch_.scored) : which;
    return counted.to(torch::kFloat64).mean().item<double>();
  }

  const Observation& observation_;
  const orrery::Batch& batch_;
  Tensor as_is_;  // [batch, n_read]
};

class SparseSubnetwork final : public orrery::Probe {
 public:
  explicit SparseSubnetwork(const Params& params) : params_(params) {}

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.inputs = orrery::Inputs::none;
    needs.weights = {"*mlp.W_in*", "*mlp.W_out"};
    needs.reference = params_.follow;
    needs.refusal = [](const orrery::Model& model, const orrery::TaskSpec&) -> std::string {
      return orrery::has_one_neuron_layer(model) ? ""
                                                 : "the model has more than one layer of neurons, or none";
    };
    return needs;
  }

  void fit(const Observation& reference) override {
    const Examples train(reference, reference.split.train);
    const Tensor by_norm = std::get<1>(norms_of(reference, params_.size).sort(0, /*descending=*/true));
    followed_ = by_norm.narrow(0, 0, smallest(train, by_norm)).clone();
  }

  void measure(const Observation& observation, orrery::Recorder& recorder) override {
    panels(recorder);
    const Examples train(observation, observation.split.train), test(observation, observation.split.test);
    const Tensor norms = norms_of(observation, params_.size);
    const int64_t n = norms.size(0);
    const Tensor members = params_.follow ? followed_ : smallest_set(train, norms, recorder);
    const int64_t size = members.size(0);
    recorder.headline("neurons", double(size));
    recorder.scalar("share", double(size) / double(n));
    recorder.tensor("neurons", members);
    const Tensor kept = only(members, n);
    const std::vector<Tensor> controls = random_sets(n, size);
    // NaN where there are none.
    recorder.scalar("size/subnetwork", (norms * kept).sum().item<double>() / double(size));
    recorder.scalar("size/rest", (norms * (1 - kept)).sum().item<double>() / double(n - size));
    const auto mean = [&](const auto& value) {
      double sum = 0;
      for (const Tensor& control : controls) sum += value(control);
      return sum / double(controls.size());
    };
    if (!controls.empty())
      recorder.scalar("size/control", mean([&](const Tensor& control) {
                        return (norms * control).sum().item<double>() / double(size);
                      }));
    const auto shares = [&](const std::string& set, const Examples& examples) {
      if (examples.empty()) return;
      recorder.scalar("accuracy/" + set + "/subnetwork", examples.accuracy(kept));
      recorder.scalar("accuracy/" + set + "/rest", examples.accuracy(1 - kept));
      recorder.scalar("faithfulness/" + set + "/subnetwork", examples.agreement(kept));
      recorder.scalar("faithfulness/" + set + "/rest", examples.agreement(1 - kept));
      if (controls.empty()) return;
      recorder.scalar("accuracy/" + set + "/control",
                      mean([&](const Tensor& control) { return examples.accuracy(control); }));
      recorder.scalar("faithfulness/" + set + "/control",
                      mean([&](const Tensor& control) { return examples.agreement(control); }));
    };
    shares("train", train);
    shares("test", test);
  }

 private:
  static void panels(orrery::Recorder& recorder) {
    recorder.panel("neurons", "Largest neurons that keep the answers of the network; and in random order",
                   "neurons (count)");
    recorder.panel("share", "Share of the neurons that keep the answers of the network",
                   "share of the neurons");
    for (const std::string set : {"train", "test"}) {
      recorder.panel("accuracy/" + set, "Accuracy of the subnetwork, and of the other neurons alone: " + set,
                     "accuracy");
      recorder.panel("faithfulness/" + set, "Answers that are those of the whole network: " + set,
                     "share of the answers");
    }
    recorder.panel("size", "Mean size of the neurons of the subnetwork, and of the others",
                   "norm of the weights of a neuron");
  }

  // The subnetwork of this checkpoint, [size] int64; how many it would take in random order is recorded.
  Tensor smallest_set(const Examples& train, const Tensor& norms, orrery::Recorder& recorder) const {
    const int64_t n = norms.size(0);
    const Tensor by_norm = std::get<1>(norms.sort(0, /*descending=*/true));
    recorder.scalar("neurons/random_order",
                    double(smallest(train, torch::randperm(n, orrery::make_generator(0), torch::kInt64))));
    return by_norm.narrow(0, 0, smallest(train, by_norm));
  }

  // `size` of n neurons at random, as masks, always the same ones.
  std::vector<Tensor> random_sets(int64_t n, int64_t size) const {
    std::vector<Tensor> sets;
    torch::Generator rng = orrery::make_generator(1);
    for (int64_t i = 0; i < params_.controls; ++i)
      sets.push_back(only(torch::randperm(n, rng, torch::kInt64).narrow(0, 0, size), n));
    return sets;
  }

  // 1 for `members` of n neurons, 0 for the others.
  static Tensor only(const Tensor& members, int64_t n) {
    return torch::zeros({n}, torch::kFloat64).index_fill_(0, members, 1);
  }
  static Tensor first(const Tensor& order, int64_t count) {
    return only(order.narrow(0, 0, count), order.size(0));
  }

  // The smallest number of neurons, from the front of `order`, that keeps the answers. By bisection: where
  // agreement does not rise with every neuron, one such number whose predecessor does not.
  int64_t smallest(const Examples& examples, const Tensor& order) const {
    int64_t fails = -1, keeps = order.size(0);
    while (keeps - fails > 1) {
      const int64_t middle = fails + (keeps - fails) / 2;
      (examples.agreement(first(order, middle)) >= params_.agreement ? keeps : fails) = middle;
    }
    return keeps;
  }

  Params params_;
  Tensor followed_;  // [size] int64: the subnetwork of the reference checkpoint, largest first
};

}  // namespace

ORRERY_PROBE(SparseSubnetwork, Params, "sparse_subnetwork", "1.1.0",
             "How few of the largest neurons keep the answers of the network.")
