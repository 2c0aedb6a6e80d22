// One layer of attention, read at one position and folded with the linear maps after it: each example is a
// sum of rows of tables, one per head and key, weighted by the attention pattern ("OV circuits", Elhage et
// al. 2021).
#pragma once

#include <orrery/export.h>
#include <torch/types.h>

namespace orrery::kernels {

/// The layout of a batch, by rows of tables: distinct inputs for keys and for queries.
struct FoldedBatch {
  torch::Tensor index;  ///< [n_examples, n_keys] int32: the distinct input of each key
  torch::Tensor query;  ///< [n_examples] int32: the query row of the output position
  int64_t n_rowed = 0;  ///< only the first n_rowed keys add rows; the others' share is in `base`
};

/// Whether the kernel supports a batch: few enough terms in each sum.
ORRERY_API bool folded_attention_fits(const FoldedBatch& batch, int64_t n_heads);

/// [n_examples, width], row i being
///     base[query[i]] + sum over heads h and keys k < n_rowed of pattern[i, h, k] table[h, index[i, k]]
/// where pattern[i, h] is the softmax over all keys k of scores[query[i], index[i, k], h].
/// scores: [n_queries, n_distinct, n_heads]; table: [n_heads, n_distinct, width]; base: [n_queries, width];
/// all float32 on the CPU; width is a multiple of padded_width(1).
ORRERY_API torch::Tensor folded_attention(const torch::Tensor& scores, const torch::Tensor& table,
                                          const torch::Tensor& base, const FoldedBatch& batch);
/// The reference, by plain tensor operations.
ORRERY_API torch::Tensor plain_folded_attention(const torch::Tensor& scores, const torch::Tensor& table,
                                                const torch::Tensor& base, const FoldedBatch& batch);

/// The padded width of table rows of n numbers: a whole number of vectors, odd if there are many, so that
/// rows do not compete for the same cache sets.
ORRERY_API int64_t padded_width(int64_t n);

}  // namespace orrery::kernels
