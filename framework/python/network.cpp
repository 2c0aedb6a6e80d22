// A network of a run, as Python sees it: weights, hooks, forward passes, the data of its task.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/config/pipeline.h"
#include "engine/experiment/open_run.h"
#include "python/binding.h"

namespace orrery::python {
namespace {

using namespace engine;

// What a hook of Python threw, carried through the forward pass, which may know C++ exceptions only.
struct Thrown {
  std::optional<py::error_already_set> error;
};

// A forward pass, or several, within another: hooks of that one do nothing meanwhile.
class Deeper {
 public:
  explicit Deeper(int& depth) : depth_(depth) { ++depth_; }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;

 private:
  int& depth_;
};

// Weights that a notebook has frozen: probes find every one as it is in a training.
class AllLearn {
 public:
  explicit AllLearn(Model& model) {
    for (const NamedWeight& weight : model.weights())
      if (!weight.value.requires_grad()) frozen_.push_back(weight.value);
    for (const torch::Tensor& weight : frozen_) weight.requires_grad_(true);
  }
  ~AllLearn() {
    for (const torch::Tensor& weight : frozen_) weight.requires_grad_(false);
  }
  AllLearn(const AllLearn&) = delete;

 private:
  std::vector<torch::Tensor> frozen_;
};

class Network {
 public:
  Network(const std::string& run, const std::string& which) {
    const LongCall call;
    network_ = std::make_unique<NetworkAtStep>(plugins(), run, which, "step");
    step_ = network_->step();
    const std::string& kind = experiment().settings().model.name;
    of_a_plugin_ = kind == "task" || !is_frameworks("model", kind);
  }

  ~Network() {
    const py::gil_scoped_release released;
    const EngineTurn turn;  // the destructors of plugins run
    network_.reset();
  }

  int64_t step() const { return step_; }
  std::string run() const { return network_->run().root().string(); }
  std::string checkpoint() const { return network_->run().checkpoint_path(step_).string(); }

  void load(const std::string& which) {
    const LongCall call;
    const std::lock_guard lock(mutex_);
    const CheckpointFile checkpoint = choose_checkpoint(network_->run(), which, "step");
    load_checkpoint(experiment(), checkpoint);
    step_ = checkpoint.step;
  }

  py::list weights() {
    py::list all;
    for (const NamedWeight& weight : model().weights())
      all.append(py::make_tuple(weight.name, to_python(weight.value)));
    return all;
  }
  std::vector<std::string> hook_points() { return model().hook_point_names(); }

  std::vector<std::string> matching(const std::string& glob) {
    std::vector<std::string> names;
    for (const HookPoint* point : find_hook_points(model(), glob)) names.push_back(point->name());
    return names;
  }

  py::dict spec() {
    const TaskSpec& spec = experiment().spec();
    py::dict all;
    all["d_vocab"] = spec.d_vocab;
    all["d_vocab_out"] = spec.d_vocab_out;
    all["n_ctx"] = spec.n_ctx;
    all["read_out"] = spec.read_out;
    all["groups"] = spec.groups;
    all["loss"] = to_string(spec.loss);
    all["endless"] = spec.endless;
    return all;
  }

  py::dict data(const std::string& which) {
    const Split& split = experiment().split();
    if (which == "train") return to_python(split.train.tensors());
    if (which == "test") return to_python(split.test.tensors());
    if (which != "grid")
      throw UsageError(fmt::format("data: there is no \"{}\"", which), "ask for train, test or grid");
    if (split.grid) return to_python(split.grid->tensors());
    throw UsageError("data: this task is too large to list every possible input, so it has no grid",
                     "ask for train or test");
  }

  std::string show(const py::handle& tokens) {
    const torch::Tensor given = checked(to_tensor(tokens, "tokens"));
    if (given.size(0) != 1)
      throw UsageError(fmt::format("tokens: expected one input, [n_ctx], got {} of them", given.size(0)));
    const LongCall call;
    return experiment().task().show(given[0].cpu());
  }

  // Logits, and the activations at `globs` if that is not None, in the order of the forward pass. As
  // run_with_cache() of orrery/hooks.h, but without looking names up.
  py::tuple forward(const py::handle& tokens, const py::list& hooks, const py::object& globs) {
    const torch::Tensor given = checked(to_tensor(tokens, "tokens"));
    Thrown thrown;
    int depth = 0;
    std::vector<Hook> all = with_names(hooks, thrown, depth);
    // A hook may call the engine, which is always taken before a network.
    const bool calls_others = of_a_plugin_ || !all.empty();
    const std::vector<size_t> wanted = globs.is_none() ? std::vector<size_t>() : places_of(globs);
    std::vector<torch::Tensor> kept(wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i)
      all.emplace_back(model().hook_points()[wanted[i]]->name(),
                       [this, &depth, &place = kept[i]](const torch::Tensor& activation) {
                         return depth == depth_ ? place = activation : activation;
                       });
    torch::Tensor logits;
    try {
      const py::gil_scoped_release released;
      const auto turn = calls_others ? std::make_unique<EngineTurn>() : nullptr;
      const std::lock_guard lock(mutex_);
      const Deeper inside(depth_);
      depth = depth_;
      const HookScope scope(model(), all);
      logits = model().forward(given);
    } catch (...) {
      if (thrown.error) throw std::move(*thrown.error);
      throw;
    }
    py::dict cache;
    for (size_t i = 0; i < wanted.size(); ++i)
      if (kept[i].defined()) cache[names()[wanted[i]]] = to_python(kept[i]);
    return py::make_tuple(to_python(logits), cache);
  }

  // What the probe records of the present weights: a line of results.jsonl and a safetensors file.
  py::tuple probe(const std::string& entry) {
    PackedResult packed;
    {
      const LongCall call;
      const std::lock_guard lock(mutex_);
      const ProbeInRun& probe = probe_of(entry);
      const Deeper inside(depth_);
      const AllLearn as_in_a_run(model());
      std::vector<Outcome> outcomes =
          experiment().probe_host().measure(step_, {&probe}, Reference::this_checkpoint);
      const Outcome& outcome = outcomes.at(0);
      if (!outcome.ok()) throw Error(outcome.error, outcome.hint);
      packed = pack_result(result_line(step_, "", {{probe.label, &outcome.record}}), outcome.record);
    }
    return py::make_tuple(packed.line,
                          py::bytes(reinterpret_cast<const char*>(packed.data.data()), packed.data.size()));
  }

  // Random weights, drawn as those of the run but from another seed.
  void randomise(int64_t draw) {
    const LongCall call;
    const std::lock_guard lock(mutex_);
    const std::unique_ptr<Model> random = experiment().null_model(draw);
    const torch::NoGradGuard no_gradients;
    for (size_t i = 0; i < model().weights().size(); ++i)
      model().weights()[i].value.copy_(random->weights().at(i).value);
    step_ = 0;
  }

 private:
  Experiment& experiment() { return network_->experiment(); }
  Model& model() { return experiment().model(); }

  // Those of the hook points, made once.
  const std::vector<py::str>& names() {
    if (names_.empty())
      for (const std::string& name : hook_points()) names_.emplace_back(name);
    return names_;
  }

  // Where the hook points of these globs are in the order of the forward pass.
  std::vector<size_t> places_of(const py::object& globs) {
    std::set<const HookPoint*> points;
    for (const auto& glob : globs.cast<std::vector<std::string>>())
      for (const HookPoint* point : find_hook_points(model(), glob)) points.insert(point);
    std::vector<size_t> places;
    for (size_t i = 0; i < model().hook_points().size(); ++i)
      if (points.contains(model().hook_points()[i].get())) places.push_back(i);
    return places;
  }

  torch::Tensor checked(const torch::Tensor& tokens) {
    const TaskSpec& spec = experiment().spec();
    const torch::Tensor given = tokens.dim() == 1 ? tokens.unsqueeze(0) : tokens;
    if (given.scalar_type() != torch::kInt64 || given.dim() != 2 || given.size(1) != spec.n_ctx)
      throw UsageError(fmt::format("tokens: expected int64 [batch, {}], got {} [{}]", spec.n_ctx,
                                   std::string(py::str(to_python(tokens).attr("dtype"))).substr(6),
                                   fmt::join(tokens.sizes(), ", ")),
                       "net.data(\"test\")[\"tokens\"] has inputs of the task");
    const torch::Tensor flat = given.cpu().contiguous();
    const int64_t* const first = flat.data_ptr<int64_t>();
    const auto [least, most] = std::minmax_element(first, first + flat.numel());
    if (flat.numel() > 0 && (*least < 0 || *most >= spec.d_vocab))
      throw UsageError(fmt::format("tokens: expected 0 to {}, got {} to {}", spec.d_vocab - 1, *least, *most),
                       "net.task has the shapes of the task, net.data(\"test\")[\"tokens\"] inputs of it");
    return given.to(model().device());
  }

  // (glob, f) with f(activation, name): f returns a tensor, or None to change nothing. A hook may run the
  // network again: only passes as deep as `depth` call f.
  std::vector<Hook> with_names(const py::list& hooks, Thrown& thrown, const int& depth) {
    std::vector<Hook> all;
    for (const py::handle& each : hooks) {
      const auto pair = each.cast<py::tuple>();
      const py::handle function = pair[1];  // the list keeps it, and outlives the pass
      for (const HookPoint* point : find_hook_points(model(), pair[0].cast<std::string>()))
        all.emplace_back(point->name(), [this, function, name = point->name(), &thrown,
                                         &depth](const torch::Tensor& activation) {
          return depth == depth_ ? call(function, activation, name, thrown) : activation;
        });
    }
    return all;
  }

  static torch::Tensor call(const py::handle& function, const torch::Tensor& activation,
                            const std::string& name, Thrown& thrown) {
    const py::gil_scoped_acquire acquired;
    try {
      const py::object answer = function(to_python(activation), name);
      return answer.is_none() ? activation
                              : to_tensor(answer, fmt::format("what the hook on \"{}\" returned", name));
    } catch (py::error_already_set& error) {
      thrown.error = std::move(error);
    }
    throw Error(fmt::format("the hook on \"{}\" failed", name));
  }

  // Each made once, however often it is asked.
  const ProbeInRun& probe_of(const std::string& entry) {
    const auto [known, is_new] = probes_.emplace(entry, experiment().probes().size());
    if (is_new) try {
        const Document document =
            Document::from_json(fmt::format("{{\"probe\": [{}]}}", entry), "net.probe()");
        experiment().add_probes(resolve_pipeline(document, parameters_from(plugins())).probes);
      } catch (...) {
        probes_.erase(known);
        throw;
      }
    return experiment().probes().at(known->second);
  }

  std::unique_ptr<NetworkAtStep> network_;
  int64_t step_ = 0;
  bool of_a_plugin_ = false;
  std::recursive_mutex mutex_;  // hooks may run the network again
  int depth_ = 0;               // of forward passes
  std::map<std::string, size_t> probes_;
  std::vector<py::str> names_;
};

}  // namespace

void add_network(py::module_& module) {
  py::class_<Network>(module, "Network")
      .def(py::init<const std::string&, const std::string&>())
      .def_property_readonly("step", &Network::step)
      .def_property_readonly("run", &Network::run)
      .def_property_readonly("checkpoint", &Network::checkpoint)
      .def("load", &Network::load)
      .def("weights", &Network::weights)
      .def("hook_points", &Network::hook_points)
      .def("matching", &Network::matching)
      .def("spec", &Network::spec)
      .def("data", &Network::data)
      .def("show", &Network::show)
      .def("forward", &Network::forward)
      .def("probe", &Network::probe)
      .def("randomise", &Network::randomise);
}

}  // namespace orrery::python
