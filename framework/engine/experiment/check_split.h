// What a task hands over is checked before anything is trained on it.
#pragma once

#include <orrery/task.h>

#include <string>

namespace orrery::engine {

/// Throws orrery::Error, saying which tensor, what was expected and what was found, unless every batch of
/// `split` has the shapes, dtypes and ranges that `spec` declares.
void check_split(const TaskSpec& spec, const Split& split);
/// Likewise for one batch that sample() made, which was asked for `batch_size` examples.
void check_sample(const TaskSpec& spec, int64_t batch_size, const Batch& batch);

/// The parts of it that `orrery check` tells apart: shapes and dtypes without ranges, and that the indices in
/// `rows` are of the grid.
void check_shapes(const TaskSpec& spec, const Split& split);
void check_sample_shapes(const TaskSpec& spec, int64_t batch_size, const Batch& batch);
void check_rows(const std::string& name, const torch::Tensor& rows, const Batch& grid);

/// Likewise for a model of the task's own: does it have weights, does its forward pass give logits of the
/// right shape that depend on them, and does fast_read_out() give the same? Tries it on the first inputs of
/// `batch`.
void check_model(Model& model, const TaskSpec& spec, const Batch& batch);

}  // namespace orrery::engine
