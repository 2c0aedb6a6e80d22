// The order of training examples in minibatches.
#pragma once

#include <orrery/task.h>

#include <utility>

#include "sdk/files/named_tensors.h"

namespace orrery::engine {

/// Iterates over a training set in batches, reshuffled at every epoch. The rest of an epoch that does not
/// fill a batch is completed from the next epoch, so that all batches have the same size.
class BatchOrder {
 public:
  /// `batch_size` must be in 1..n_examples.
  BatchOrder(int64_t n_examples, int64_t batch_size, uint64_t seed);
  torch::Tensor next();  ///< the rows of the next batch, [batch_size] int64

  NamedTensors state() const;
  void restore(const NamedTensors& state);

 private:
  int64_t n_examples_, batch_size_;
  torch::Generator rng_;
  torch::Tensor order_;  // the rest of the last epoch, then this epoch's permutation
  int64_t used_ = 0;     // the number of entries of order_ used so far
};

}  // namespace orrery::engine
