// One layer of attention, read at one position and followed through its linear maps: each example is a sum of
// rows of tables, one per head and key, scaled by the attention pattern ("OV circuits", Elhage et al. 2021).
#pragma once

#include <orrery/export.h>
#include <torch/types.h>

namespace orrery::kernels {

/// The layout of a batch. Its rows are those of tables: distinct inputs for keys, and for queries.
struct FoldedBatch {
  torch::Tensor index;  ///< [n_examples, n_keys] int32: which distinct input each key is
  torch::Tensor query;  ///< [n_examples] int32: which query row the position is that is read
  int64_t n_rowed = 0;  ///< only the first n_rowed keys add rows; the others' share is in `base`
};

/// Whether the kernel can take a batch: few enough terms in each sum.
ORRERY_API bool folded_attention_fits(const FoldedBatch& batch, int64_t n_heads);

/// [n_examples, width], row i being
///     base[query[i]] + sum over heads h and keys k < n_rowed of pattern[i, h, k] table[h, index[i, k]]
/// where pattern[i, h] is the softmax over all keys k of scores[query[i], index[i, k], h].
/// scores: [n_queries, n_distinct, n_heads]; table: [n_heads, n_distinct, width]; base: [n_queries, width];
/// all float32 on the CPU; width is a multiple of padded_width(1).
ORRERY_API torch::Tensor folded_attention(const torch::Tensor& scores, const torch::Tensor& table,
                                          const torch::Tensor& base, const FoldedBatch& batch);
/// The same by plain tensor operations.
ORRERY_API torch::Tensor plain_folded_attention(const torch::Tensor& scores, const torch::Tensor& table,
                                                const torch::Tensor& base, const FoldedBatch& batch);

/// The width of table rows that hold n numbers: a whole number of vectors, and where they are many an odd
/// one, so that rows do not compete for the same places in the cache.
ORRERY_API int64_t padded_width(int64_t n);

}  // namespace orrery::kernels
