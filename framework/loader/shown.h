// Tensors that a plugin is shown and may not write to. They may be large, so there are no copies: LibTorch's
// counts of writes are compared.
#pragma once

#include <orrery/task.h>

#include <cstdint>
#include <string>
#include <vector>

namespace orrery {

class Shown {
 public:
  Shown& add(std::string name, const torch::Tensor& tensor);
  /// Every tensor of `batch`: "NAME.labels".
  Shown& add(const std::string& name, const Batch& batch);
  /// The name of the first that was written to or has other memory now; "" if there is none.
  std::string written() const;
  /// Throws orrery::Error that says which it was.
  void refuse_writes() const;

 private:
  struct One {
    std::string name;
    torch::Tensor tensor;
    const void* memory;
    int64_t writes;
  };
  std::vector<One> all_;
};

}  // namespace orrery
