// How the examples of a task that lists all its pairs are divided in a training and a test set: at random, by
// the shuffle of Python's `random` (how published splits were made), or by a file that lists the training
// rows; and how examples are drawn by a task that does not list them. A task inherits SplitParams, or
// SampledParams, in its own Params, and so offers the same parameters as the others.
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

/// What CPython 3.2 and later make of `random.seed(seed); l = list(range(n)); random.shuffle(l)`: the list l,
/// as int64 [n]. Python seeds with the absolute value, so -42 is 42. Throws orrery::Error unless n is from 0
/// to 2^32 - 1. Source: CPython's Lib/random.py and Modules/_randommodule.c; Matsumoto & Nishimura 1998.
ORRERY_API torch::Tensor cpython_shuffle(int64_t n, int64_t seed);

/// The row numbers that the text file `path` lists, separated by white space, in the file's order: int64 [m].
/// Throws orrery::UsageError, with file and line, for what is no number from 0 to n-1 or is listed twice, and
/// where the file cannot be read. A relative path starts at the folder the program was started in.
ORRERY_API torch::Tensor read_index_file(const std::string& path, int64_t n);

/// The parameters of a split of n pairs, numbered 0..n-1 in the order in which the task lists them. The
/// rules:
///   random           the first of a random permutation, drawn from the run's data seed, are trained on
///   cpython_shuffle  the first of cpython_shuffle(n, split.seed) are; the data seed does not matter
///   file             those that split.file lists are; train_fraction and n_train do not matter
/// In a config the last three are a table: split = { rule = "cpython_shuffle", seed = 0 }. With that,
/// train_fraction 0.3 and all pairs mod 113, y fastest, the training set is the one of
///   pairs = [(i, j, p) for i in range(p) for j in range(p)]
///   random.seed(0); random.shuffle(pairs); train = pairs[:int(0.3*len(pairs))]
struct ORRERY_API SplitParams {
  double train_fraction = 0.3;
  int64_t n_train = 0;
  std::string split_rule = "random";
  int64_t split_seed = 0;
  std::string split_file = {};

  template <class Params>
  static void fields(Fields<Params>& f) {
    f.add("train_fraction", &SplitParams::train_fraction, "share of the pairs trained on, rounded down")
        .between(0, 1);
    f.add("n_train", &SplitParams::n_train, "number of pairs trained on; 0: train_fraction decides")
        .at_least(0);
    f.add("split.rule", &SplitParams::split_rule, "how the training pairs are chosen")
        .one_of({"random", "cpython_shuffle", "file"});
    f.add("split.seed", &SplitParams::split_seed, "rule cpython_shuffle: the seed given to Python's random");
    f.add("split.file", &SplitParams::split_file, "rule file: a text file of the rows trained on");
  }

  /// Throws orrery::UsageError where these parameters do not fit n pairs, contradict each other, or name a
  /// file that is no good. For a task's constructor.
  void check_split(int64_t n) const;

  /// {training rows, test rows}: int64, together 0..n-1, each once. Rule random draws one permutation of n
  /// from `rng`, the others draw nothing. Rule file leaves the test rows in ascending order. Throws as
  /// check_split does.
  std::pair<torch::Tensor, torch::Tensor> split_rows(int64_t n, torch::Generator rng) const;
};

/// The parameters of data that are drawn rather than listed, for a task that can draw examples without end
/// (Task::sample): how many there are to train on, or fresh ones at every step, and to test with.
struct ORRERY_API SampledParams {
  int64_t n_train = 0;
  int64_t n_test = 1024;

  /// `examples` names them in the help: "sums", "sequences".
  template <class Params>
  static void fields(Fields<Params>& f, const std::string& examples) {
    f.add("n_train", &SampledParams::n_train,
          "number of training " + examples + ", drawn once; 0: fresh ones at each step")
        .at_least(0);
    f.add("n_test", &SampledParams::n_test, "number of test " + examples).at_least(1);
  }

  bool endless() const { return n_train == 0; }  ///< for TaskSpec::endless

  /// Throws orrery::UsageError where there are to be more training examples than the `exist` different ones.
  /// For a task's constructor.
  void check_sampled(double exist, const std::string& examples) const;

  /// n_test and n_train examples drawn by `task`. The test set is drawn first, so that it is the same for
  /// every n_train; where training is endless, n_test examples stand for it in Split::train.
  Split sampled_split(const Task& task, torch::Generator rng) const;
};

}  // namespace orrery
