#include "engine/train/batches.h"

namespace orrery::engine {

BatchOrder::BatchOrder(int64_t n_examples, int64_t batch_size, uint64_t seed)
    : n_examples_(n_examples), batch_size_(batch_size), rng_(make_generator(seed)) {
  order_ = torch::randperm(n_examples_, rng_, torch::kInt64);
}

torch::Tensor BatchOrder::next() {
  const int64_t left = order_.size(0) - used_;
  if (left < batch_size_) {
    order_ = torch::cat({order_.narrow(0, used_, left), torch::randperm(n_examples_, rng_, torch::kInt64)});
    used_ = 0;
  }
  used_ += batch_size_;
  return order_.narrow(0, used_ - batch_size_, batch_size_);
}

NamedTensors BatchOrder::state() const {
  return {{"batches/order", order_},
          {"batches/used", torch::tensor(used_, torch::kInt64)},
          {"batches/rng", rng_.get_state()}};
}

void BatchOrder::restore(const NamedTensors& state) {
  order_ = find_named(state, "batches/order").clone();
  used_ = find_named(state, "batches/used").item<int64_t>();
  rng_.set_state(find_named(state, "batches/rng"));
}

}  // namespace orrery::engine
