// Turns what probes recorded of a network into the features of its signature.
#pragma once

#include <orrery/recorder.h>

#include <string>

#include "engine/compare/signature.h"

namespace orrery::engine {

/// Where a record comes from.
struct RecordSource {
  std::string label;     ///< of the probe
  std::string question;  ///< plugin, parameters, reference
};

/// Adds the features of `record` to `signature`.
///
/// From the scalars it takes headlines, "gini/W_*" (the sparsity of a weight in the basis of its task) and
/// "explained/*". A scalar with "loss" in its name is a loss; one with a part of its name beginning with "n_"
/// is a count; one between -1 and 1, here and in `null` (which may be null), is a share or a score; others
/// have a unit.
///
/// From the findings (orrery/findings.h) it takes
///   key_frequencies,      the shares, sorted; their sum; it only shows frequencies, elements and names
///   key_representations
///   head_role             the best score of each role
///   ablation              the largest loss without one component, for each kind of component ("head",
///                         "frequency", "representation", ...), mode and set of inputs
///   efficiency            C_gen as a share of |C_gen| + |C_mem|; shown: both, and norm per logit
///   phase_change          shown: step and fraction of the run
/// and ignores other kinds.
void add_evidence(const Record& record, const Record* null, const RecordSource& source, Signature& signature);

/// The frequencies of a finding "key_frequencies", for the overlap of two networks.
struct KeyFrequencySet {
  int64_t order = 0;
  std::set<int64_t> frequencies;
};
/// How many frequencies two sets share, and how many two random sets of their sizes would: |a| |b| /
/// floor(n/2).
struct Overlap {
  size_t common;
  double by_chance;
};
/// Both must be of the same order.
Overlap overlap(const KeyFrequencySet& a, const KeyFrequencySet& b);

/// The first finding of this kind in `record`, if there is one.
std::optional<KeyFrequencySet> key_frequencies_of(const Record& record);

}  // namespace orrery::engine
