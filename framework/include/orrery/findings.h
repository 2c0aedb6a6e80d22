// The findings that several probes share, so that runs of different tasks can be set side by side. Each is
// made here and nowhere else; the same kind has the same fields everywhere.
#pragma once

#include <orrery/export.h>
#include <orrery/recorder.h>

#include <cstdint>
#include <string>
#include <vector>

namespace orrery {

/// kind "key_frequencies" (Nanda et al. 2023, section 4): the frequencies k, 1 to order/2, that carry a
/// circuit over a cyclic group; `shares` is each one's share, 0 to 1, of what was measured. Fields order,
/// frequencies, shares. Throws orrery::Error unless there are as many shares as frequencies.
ORRERY_API Finding key_frequencies_finding(int64_t order, const std::vector<int64_t>& frequencies,
                                           const std::vector<double>& shares);

/// kind "key_representations" (Chughtai et al. 2023): the irreducible representations of a finite group that
/// carry a circuit. Fields group ("S_5", "Z_113"), order, representations (names), shares (0 to 1). Throws
/// orrery::Error unless there are as many shares as representations.
ORRERY_API Finding key_representations_finding(const std::string& group, int64_t order,
                                               const std::vector<std::string>& representations,
                                               const std::vector<double>& shares);

/// kind "head_role": what attention head `head` of layer `layer` does: "previous token", "induction",
/// "duplicate token", "copying" (Olsson et al. 2022). Layers and heads are counted from 0. Fields layer,
/// head, role, score (as the probe defines it; larger is more of the role).
ORRERY_API Finding head_role_finding(int64_t layer, int64_t head, const std::string& role, double score);

/// kind "ablation": the mean loss, in nats, without and with `component` ("head 1.3", "frequency 14", "the
/// standard representation") taken out. `inputs` says on what: "train", "test", "repeats". Fields component,
/// mode ("mean", "zero", "exclude"), inputs, loss_before, loss_after.
ORRERY_API Finding ablation_finding(const std::string& component, const std::string& mode,
                                    const std::string& inputs, double loss_before, double loss_after);

/// kind "efficiency" (Varma et al. 2023, appendix B): the mean correct-class logit, about the mean
/// over classes, of the generalising and the memorising circuit, in units of logits; the Euclidean norm of
/// all parameters. Fields c_gen, c_mem, parameter_norm.
ORRERY_API Finding circuit_efficiency_finding(double c_gen, double c_mem, double parameter_norm);

/// kind "phase_change" (Nanda et al. 2023, section 5.3, name the phases): a curve breaks at `step`, with an
/// interval of `confidence` (0 to 1) from step `low` to step `high`.
/// `boundary` says what ends there: "memorisation", "circuit formation", "cleanup"; or "fall", where it is
/// only known that the curve falls, which begins there. Fields curve, boundary, step, low, high, confidence,
/// fraction (step as a share of the steps of the run).
ORRERY_API Finding phase_change_finding(const std::string& curve, const std::string& boundary, int64_t step,
                                        int64_t low, int64_t high, double confidence, double fraction);

}  // namespace orrery
