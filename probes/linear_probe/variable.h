// A variable of the input: what a linear probe reads out, or whose values it holds out.
#pragma once

#include <orrery/probe.h>

#include <string>

/// A variable by its name in a config.
class Variable {
 public:
  /// Throws orrery::UsageError for a name that only looks like one ("wave of 5").
  explicit Variable(const std::string& name);

  const std::string& name() const { return name_; }
  /// Whether its values are numbers rather than classes: a wave.
  bool is_number() const { return kind_ == Kind::wave; }
  /// Adds to `needs` what the task must have for it.
  void add_to(orrery::Needs& needs) const;
  /// Why a task of these shapes does not have it; "" if it may.
  std::string refusal(const orrery::TaskSpec& spec) const;

  /// Its values for the examples of observation.inputs.
  struct Values {
    /// [batch], [batch, n_read] or [batch, n_ctx] int64; of a wave [batch, 2] float64: cos and sin.
    torch::Tensor all;
    torch::Tensor known;  ///< bool, of the shape of `all` ([batch] for a wave): where there is a value
    enum class Along { inputs, outputs, context } along = Along::inputs;

    /// Those that go with a position of the context (-1: with the whole input), one for each example. Where
    /// there is one for each output position, it is that of the next output at or after the position, or of
    /// the last.
    torch::Tensor at(const torch::Tensor& x, int64_t position, const orrery::TaskSpec& spec) const;
  };
  /// Throws orrery::UsageError for a frequency that the task does not have.
  Values values(const orrery::Observation& observation) const;

 private:
  enum class Kind { label, operand_a, operand_b, sum, wave, token, auxiliary };
  Values indices(const orrery::Observation& observation) const;

  std::string name_;
  Kind kind_ = Kind::auxiliary;
  int64_t number_ = 0;  // the frequency of a wave, the position of a token
};
