// Reads examples from a file: text, .csv or .safetensors.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>

namespace table {

/// How many tokens and classes there are; 0: as many as the file says, up to most_values.
struct Vocabulary {
  int64_t d_vocab = 0, d_vocab_out = 0;
};
inline constexpr int64_t most_values = int64_t{1} << 20;  ///< a slip of the pen is no vocabulary

struct Examples {
  torch::Tensor tokens;  ///< [n, n_ctx] int64, in 0..d_vocab-1
  torch::Tensor labels;  ///< [n, n_labels] int64, in 0..d_vocab_out-1, or -1: not scored
};

/// Whether two examples may have the same tokens and different labels, as draws of something random have.
enum class Contradictions { refuse, keep };

/// The examples in `path`, at least one. Its ending decides how it is read: .csv, .safetensors, or else text.
/// Throws orrery::UsageError, with file, line and column, for what is not an example, for two examples that
/// contradict each other (at a label that both score), and if the file cannot be read. Relative paths start
/// at the current directory.
Examples read_examples(const std::string& path, const Vocabulary& vocabulary,
                       Contradictions contradictions = Contradictions::refuse);

}  // namespace table
