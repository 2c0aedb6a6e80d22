// Checks the data and the model of a task before anything is trained on them.
#pragma once

#include <orrery/task.h>

#include <string>
#include <vector>

namespace orrery::engine {

/// Throws orrery::Error, saying which tensor, what was expected and what was found, unless every batch of
/// `split` has the shapes, dtypes and ranges that `spec` declares.
void check_split(const TaskSpec& spec, const Split& split);
/// The same for one batch from sample(), which was asked for `batch_size` examples.
void check_sample(const TaskSpec& spec, int64_t batch_size, const Batch& batch);
/// The same for what corrupt() gave for `n` examples.
void check_corrupted(const TaskSpec& spec, int64_t n, const Batch& batch);
/// The same for what metrics() gave: a number for each name in the spec.
void check_metrics(const TaskSpec& spec, const std::vector<double>& values);

/// The parts that `orrery check` reports separately: the spec, shapes and dtypes without ranges, and whether
/// the indices in `rows` lie in the grid.
void check_shapes(const TaskSpec& spec, const Split& split);
void check_sample_shapes(const TaskSpec& spec, int64_t batch_size, const Batch& batch);
void check_rows(const std::string& name, const torch::Tensor& rows, const Batch& grid);

/// The same for a model that the task brings: it must have weights, its forward pass must give logits of the
/// right shape that depend on them, and its fast_read_out() must give the same logits, and its hook points
/// must say rightly which dimension runs over positions. Tries it on the first inputs of `batch`.
void check_model(Model& model, const TaskSpec& spec, const Batch& batch);

/// What is wrong with the dimension that `point` says runs over positions, of an activation seen there; "" if
/// nothing is, or it says that there is none.
std::string position_fault(const HookPoint& point, const torch::Tensor& activation, int64_t n_ctx);

}  // namespace orrery::engine
