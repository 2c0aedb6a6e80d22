// Builders for the finding kinds that several probes share, so that runs of different tasks can be compared.
// A kind has the same fields everywhere: record one of these through its builder only.
#pragma once

#include <orrery/export.h>
#include <orrery/recorder.h>

#include <cstdint>
#include <string>
#include <vector>

namespace orrery {

/// kind "key_frequencies" (Nanda et al. 2023, section 4): the frequencies k in 1..floor(order/2) that carry a
/// circuit over a cyclic group. `shares` holds each one's share, 0 to 1, of the measured quantity. Fields:
/// order, frequencies, shares. Throws orrery::Error unless there are as many shares as frequencies.
ORRERY_API Finding key_frequencies_finding(int64_t order, const std::vector<int64_t>& frequencies,
                                           const std::vector<double>& shares);

/// kind "key_representations" (Chughtai et al. 2023): the irreducible representations of a finite group that
/// carry a circuit. Fields: group ("S_5", "Z_113"), order, representations (names), shares (0 to 1). Throws
/// orrery::Error unless there are as many shares as representations.
ORRERY_API Finding key_representations_finding(const std::string& group, int64_t order,
                                               const std::vector<std::string>& representations,
                                               const std::vector<double>& shares);

/// kind "head_role": the role of attention head `head` of layer `layer`, both counted from 0: "previous
/// token", "induction", "duplicate token" or "copying" (Olsson et al. 2022). Fields: layer, head, role, score
/// (defined by the probe; larger means more of the role).
ORRERY_API Finding head_role_finding(int64_t layer, int64_t head, const std::string& role, double score);

/// kind "ablation": the mean loss in nats before and after `component` ("head 1.3", "frequency 14", "the
/// standard representation") is ablated, over `inputs` ("train", "test", "repeats"). Fields: component, mode
/// ("mean", "zero", "exclude"), inputs, loss_before, loss_after.
ORRERY_API Finding ablation_finding(const std::string& component, const std::string& mode,
                                    const std::string& inputs, double loss_before, double loss_after);

/// kind "efficiency" (Varma et al. 2023, appendix B): the mean logit of the correct class, relative to the
/// mean over classes, that the generalising and the memorising circuit each contribute, and the Euclidean
/// norm of all parameters. Fields: c_gen, c_mem, parameter_norm.
ORRERY_API Finding circuit_efficiency_finding(double c_gen, double c_mem, double parameter_norm);

/// kind "phase_change": a curve breaks at `step`, with a confidence interval at level `confidence` (0 to 1)
/// from step `low` to step `high`. `boundary` names the phase that ends there, "memorisation", "circuit
/// formation" or "cleanup" (Nanda et al. 2023, section 5.2); or "fall", where the curve starts to fall and no
/// phase is known. Fields: curve, boundary, step, low, high, confidence, fraction (step as a share of the
/// steps of the run).
ORRERY_API Finding phase_change_finding(const std::string& curve, const std::string& boundary, int64_t step,
                                        int64_t low, int64_t high, double confidence, double fraction);

}  // namespace orrery
