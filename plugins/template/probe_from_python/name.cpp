// TODO: what the probe asks of a network, in a line or two, and a worked example with numbers.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

namespace {

// The members would hold the defaults of parameters; docs/authoring.md shows how to declare them.
struct Params {
  static void fields(orrery::Fields<Params>&) {}
};

class @Name@ final : public orrery::Probe {
 public:
  explicit @Name@(Params) {}

  // What the Python function asked for, its cache at all positions. A run that lacks it refuses the probe before step 0.
  orrery::Needs needs() const override {
    return {@needs@};
  }

  // TODO: the Python function below, in C++. The same things have nearly the same names here: seen.cache["..."],
  // seen.logits, seen.inputs.tokens and .labels, seen.weight("..."), seen.model, seen.step. Each number that it returned
  // is recorder.headline(name, number), or recorder.scalar(name, number); recorder.tensor() and figure() keep more.
  void measure(const orrery::Observation& seen, orrery::Recorder& recorder) override {
    throw orrery::Error("@name@: measure() is not written yet", "write the Python function at its end in C++");
  }
};

}  // namespace

ORRERY_PROBE(@Name@, Params, "@name@", "0.1.0", "Begun in Python; measure() is not written yet.");

// The throw-away probe that this starts from. In Python, run.probe(FUNCTION) has the numbers to compare with those of
// run.probe("@name@").
//
@python@
