// Training and test sets. For a task that lists all its examples: a split at random, by the shuffle of
// Python's `random` (as published splits were made), or by a file that lists the training rows. For a task
// that does not: sampling. A task derives its Params from SplitParams or SampledParams, and so offers the
// same parameters as the others.
//
//   struct Params : orrery::SplitParams {
//     int64_t p = 113;
//     static void fields(orrery::Fields<Params>& f) {
//       f.add("p", &Params::p, "modulus").at_least(2);
//       orrery::SplitParams::fields(f);
//     }
//   };
#pragma once

#include <orrery/export.h>
#include <orrery/fields.h>
#include <orrery/task.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <utility>

namespace orrery {

/// The list l that CPython 3.2 and later produce by `random.seed(seed); l = list(range(n));
/// random.shuffle(l)`: int64 [n], on the CPU. Python seeds with the absolute value, so -42 is 42. Throws
/// orrery::Error unless n is from 0 to 2^32 - 1. Source: CPython's Lib/random.py and Modules/_randommodule.c;
/// Matsumoto & Nishimura 1998.
ORRERY_API torch::Tensor cpython_shuffle(int64_t n, int64_t seed);

/// The row numbers in the text file `path`, separated by white space, in the file's order: int64 [m]. Throws
/// orrery::UsageError, with file and line, for an entry that is not a number from 0 to n-1 or occurs twice,
/// and if the file cannot be read. Relative paths start at the current directory.
ORRERY_API torch::Tensor read_index_file(const std::string& path, int64_t n);

/// The parameters of a split of n pairs, numbered 0..n-1 in the order of the task. The rules:
///   random           the first of a random permutation, drawn from the run's data seed, are trained on: of
///                    torch.randperm(n) after torch.manual_seed(seeds.data), so that published splits made by
///                    that come out, where the pairs are numbered alike
///   cpython_shuffle  the first of cpython_shuffle(n, split.seed) are; the data seed does not matter
///   file             those that split.file lists are; train_fraction and n_train do not matter
/// In a config the last three are a table: split = { rule = "cpython_shuffle", seed = 0 }. With that,
/// train_fraction 0.3 and all pairs mod 113, y fastest, the training set is the one of
///   pairs = [(i, j, p) for i in range(p) for j in range(p)]
///   random.seed(0); random.shuffle(pairs); train = pairs[:int(0.3*len(pairs))]
struct ORRERY_API SplitParams {
  double train_fraction = 0.3;        ///< 0 to 1: share of the pairs in the training set, rounded down
  int64_t n_train = 0;                ///< size of the training set; 0: train_fraction decides
  std::string split_rule = "random";  ///< split.rule: "random", "cpython_shuffle" or "file"
  int64_t split_seed = 0;             ///< split.seed, of rule cpython_shuffle: for Python's random.seed
  std::string split_file = {};        ///< split.file, of rule file: a text file of training rows

  template <class Params>
  static void fields(Fields<Params>& f) {
    f.add("train_fraction", &SplitParams::train_fraction, "share of the pairs trained on, rounded down")
        .between(0, 1);
    f.add("n_train", &SplitParams::n_train, "number of pairs trained on; 0: train_fraction decides")
        .at_least(0);
    f.add("split.rule", &SplitParams::split_rule,
          "how the training pairs are chosen; random: the first of torch.randperm(n) after "
          "torch.manual_seed(seeds.data)")
        .one_of({"random", "cpython_shuffle", "file"});
    f.add("split.seed", &SplitParams::split_seed, "rule cpython_shuffle: the seed given to Python's random");
    f.add("split.file", &SplitParams::split_file, "rule file: a text file of the rows trained on");
  }

  /// Throws orrery::UsageError if the parameters do not fit n pairs, contradict each other, or name a file
  /// that is not valid. Call it in the task's constructor.
  void check_split(int64_t n) const;

  /// {training rows, test rows}: int64, on the CPU, together a permutation of 0..n-1. Rule random draws one
  /// permutation of n from `rng`, the others draw nothing. Rule file gives the test rows in ascending order.
  /// Throws as check_split does.
  std::pair<torch::Tensor, torch::Tensor> split_rows(int64_t n, torch::Generator rng) const;
};

/// The parameters of sampled data, for a task that can draw examples without end (Task::sample): the sizes of
/// the training and test set, or a fresh training batch at every step.
struct ORRERY_API SampledParams {
  int64_t n_train = 0;    ///< training examples, drawn once; 0: fresh ones at each step
  int64_t n_test = 1024;  ///< test examples

  /// `examples` names the examples in help texts: "sums", "sequences".
  template <class Params>
  static void fields(Fields<Params>& f, const std::string& examples) {
    f.add("n_train", &SampledParams::n_train,
          "number of training " + examples + ", drawn once; 0: fresh ones at each step")
        .at_least(0);
    f.add("n_test", &SampledParams::n_test, "number of test " + examples).at_least(1);
  }

  bool endless() const { return n_train == 0; }  ///< for TaskSpec::endless

  /// Throws orrery::UsageError if n_train exceeds `exist`, the number of different examples. Call it in the
  /// task's constructor.
  void check_sampled(double exist, const std::string& examples) const;

  /// Draws n_test and n_train examples from `task`, with `step` final_step. The test set comes first, so that
  /// it is the same for every n_train. If training is endless, Split::train holds n_test examples for
  /// scoring.
  Split sampled_split(const Task& task, torch::Generator rng) const;
};

}  // namespace orrery
