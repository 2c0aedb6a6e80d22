// Which examples each update sees.
#pragma once

#include <orrery/task.h>

#include <utility>

#include "sdk/files/named_tensors.h"

namespace orrery::engine {

/// Goes through a training set in batches, reshuffled at every epoch; a last batch that would be short is
/// joined to the next epoch's shuffle, so that all batches are of one size.
class BatchOrder {
 public:
  /// batch_size in 1..n_examples.
  BatchOrder(int64_t n_examples, int64_t batch_size, uint64_t seed);
  torch::Tensor next();  ///< rows [batch_size] int64

  NamedTensors state() const;
  void restore(const NamedTensors& state);

 private:
  int64_t n_examples_, batch_size_;
  torch::Generator rng_;
  torch::Tensor order_;  // what was left of the last epoch, then this epoch's permutation
  int64_t used_ = 0;     // how much of it is used up
};

}  // namespace orrery::engine
