// What the files of the Python module share. Only this layer sees Python.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <torch/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/reporter/reporter.h"
#include "loader/registry.h"

namespace orrery::python {

namespace py = pybind11;

/// The torch.Tensor of `tensor`, which shares its memory; None if it is undefined.
py::object to_python(const torch::Tensor& tensor);
/// The tensor of a torch.Tensor, which shares its memory. Throws UsageError, opening with `what`, if `object`
/// is none.
torch::Tensor to_tensor(const py::handle& object, const std::string& what);
/// As a dict of torch.Tensors that share their memory.
py::dict to_python(const std::vector<std::pair<std::string, torch::Tensor>>& tensors);

/// The plugins, loaded on first use: the built-in ones and those in ORRERY_PLUGIN_PATH.
const Registry& plugins();

/// Calls into plugins come from one thread at a time: the engine is whoever's has this. The same thread may
/// have it several times. Take it with the interpreter lock released.
class EngineTurn {
 public:
  EngineTurn();
  ~EngineTurn();
  EngineTurn(const EngineTurn&) = delete;
  /// For long work: lets those that wait go first.
  static void offer();
};

/// A long call: releases the interpreter lock, takes the engine, has the default dtype float32 and gradients,
/// whatever the notebook has, and leaves these, threads and floating-point environment as they were.
class LongCall {
 public:
  LongCall();
  ~LongCall();
  LongCall(const LongCall&) = delete;

 private:
  friend class EngineTurn;
  struct State;
  py::gil_scoped_release released_;
  EngineTurn turn_;
  std::unique_ptr<State> state_;
};

/// Passes messages on to an object with note(text), warning(what, hint) and show(done, total, unit, text,
/// always), all called with the interpreter lock. An exception in one of them, or of a signal such as
/// KeyboardInterrupt, asks the engine to stop in an orderly way.
class PythonReporter final : public engine::Reporter {
 public:
  explicit PythonReporter(py::object receiver) : receiver_(std::move(receiver)) {}
  void note(const std::string& text) override;
  void warning(const std::string& what, const std::string& hint) override;
  std::unique_ptr<engine::Progress> progress(int64_t total, const std::string& unit) override;
  bool stop_requested() const override;
  /// Calls a method of the receiver; keeps what it throws.
  void call(const char* method, const std::function<py::object(const py::object& function)>& body);
  /// The exception that asked to stop, or None. Call with the interpreter lock.
  py::object asked_to_stop() const { return stop_; }

 private:
  void keep(py::error_already_set& error) const;
  py::object receiver_;
  mutable py::object stop_ = py::none();
  mutable bool stopped_ = false;
  mutable std::chrono::steady_clock::time_point looked_{};
};

void add_network(py::module_& module);

}  // namespace orrery::python
