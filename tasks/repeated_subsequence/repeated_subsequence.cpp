// Random tokens among which one stretch occurs several times: the task on which two-layer attention-only
// transformers form induction heads (Nanda and Lieberum 2022; Olsson et al. 2022).
// Tokens 0..vocabulary-1 are random, the token after them is the marker. With a subsequence of 3 that occurs
// twice,
//   BOS 7 2 8 3 9 2 8 3 1   holds 2 8 3 at positions 2 and 6: at the second 2 the network is to say 8,
//   then 3; with the marker at the end it is 7 2 8 3 9 2 8 3 1 END.
// At every position it predicts the next random token, which is possible only within a repeat.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace {

using orrery::UsageError;

struct Params : orrery::SampledParams {
  Params() { n_test = 512; }

  int64_t vocabulary = 128;
  int64_t length = 85;
  int64_t subsequence = 16;
  int64_t times = 3;
  std::string loss_on = "repeats";
  std::string marker = "bos";

  static void fields(orrery::Fields<Params>& f) {
    f.add("vocabulary", &Params::vocabulary, "number of different random tokens; the marker comes on top")
        .between(2, 65536);
    f.add("length", &Params::length, "tokens in a sequence, the marker included").between(5, 4096);
    f.add("subsequence", &Params::subsequence, "tokens in the stretch that is repeated").between(2, 4096);
    f.add("times", &Params::times, "how often the stretch occurs").between(2, 4096);
    f.add("loss_on", &Params::loss_on, "which next tokens count: those that can be known, or all of them")
        .one_of({"repeats", "all"});
    f.add("marker", &Params::marker, "the token that is never repeated: BOS in front, or END behind")
        .one_of({"bos", "end"});
    orrery::SampledParams::fields(f, "sequences");
  }
};

enum Group : int64_t { kRepeats = 0, kRest = 1 };

class RepeatedSubsequence final : public orrery::Task {
 public:
  explicit RepeatedSubsequence(Params params) : params_(std::move(params)) {
    const std::string taken = std::to_string(params_.subsequence * params_.times);
    if (n_free() < 0)
      throw UsageError("a subsequence of " + std::to_string(params_.subsequence) + " repeated " +
                           std::to_string(params_.times) + " times takes " + taken + " tokens, but beside " +
                           name_of_marker() + " a sequence of length " + std::to_string(params_.length) +
                           " has " + std::to_string(params_.length - 1),
                       "set length to more than " + taken + ", or shorten the subsequence");
    if (static_cast<double>(params_.n_train) > most_sequences())
      throw UsageError("training would have " + std::to_string(params_.n_train) + " sequences, but at most " +
                           std::to_string(static_cast<int64_t>(most_sequences())) + " exist",
                       "lower n_train, or set it to 0 for endless data");
  }

  orrery::TaskSpec spec() const override {
    std::vector<int64_t> read_out(n_labels());
    std::iota(read_out.begin(), read_out.end(), 0);
    return {.d_vocab = params_.vocabulary + 1,
            .d_vocab_out = params_.vocabulary,  // the marker is never predicted
            .n_ctx = params_.length,
            .read_out = read_out,
            .groups = {"repeats", "rest"},
            .endless = params_.endless()};
  }

  orrery::Split split(torch::Generator rng) const override { return params_.sampled_split(*this, rng); }

  // Drawn from `rng` in this order: where the stretch occurs, its tokens, the other tokens.
  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    const auto starts = draw_starts(batch_size, rng);
    const auto stretch =
        torch::randint(params_.vocabulary, {batch_size, params_.subsequence}, rng, torch::kInt64);
    const auto others = torch::randint(params_.vocabulary, {batch_size, n_free()}, rng, torch::kInt64);
    const auto tokens = torch::empty({batch_size, params_.length}, torch::kInt64);
    const auto repeat_of = torch::full({batch_size, params_.length}, -1, torch::kInt64);
    const auto groups = torch::full({batch_size, n_labels()}, int64_t{kRest}, torch::kInt64);
    for (int64_t row = 0; row < batch_size; ++row)
      write(row_of(starts, row), row_of(stretch, row), row_of(others, row), row_of(tokens, row),
            row_of(repeat_of, row), row_of(groups, row));
    return {.tokens = tokens,
            .labels = tokens.narrow(1, 1, n_labels()).clone(),
            .scored = params_.loss_on == "repeats" ? groups == int64_t{kRepeats} : torch::Tensor(),
            .groups = groups,
            .repeat_of = repeat_of};
  }

  // One token of the stretch, not its first, is another one wherever it occurs: what is repeated changes, and
  // where it is repeated does not.
  orrery::Batch corrupt(const orrery::Batch& clean, torch::Generator rng) const override {
    const auto offset = torch::randint(1, params_.subsequence, {clean.size()}, rng, torch::kInt64);
    const auto by = torch::randint(1, params_.vocabulary, {clean.size()}, rng, torch::kInt64);
    orrery::Batch corrupted = clean;
    corrupted.tokens = clean.tokens.clone();
    const auto repeat_of = clean.repeat_of.contiguous();
    for (int64_t row = 0; row < clean.size(); ++row) {
      int64_t* const tokens = row_of(corrupted.tokens, row);
      for (const int64_t at : occurrences(row_of(repeat_of, row), offset[row].item<int64_t>()))
        tokens[at] = (tokens[at] + by[row].item<int64_t>()) % params_.vocabulary;
    }
    corrupted.labels = corrupted.tokens.narrow(1, 1, n_labels()).clone();
    return corrupted;
  }

  orrery::Structure structure() const override {
    return {.repeats = orrery::RepeatStructure{.length = params_.subsequence, .times = params_.times}};
  }

  std::string show(const torch::Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < tokens.size(0); ++i) {
      const auto token = tokens[i].item<int64_t>();
      text += (i ? " " : "") + (token == marker() ? name_of_marker() : std::to_string(token));
    }
    return text;
  }

 private:
  int64_t marker() const { return params_.vocabulary; }
  bool begins() const { return params_.marker == "bos"; }
  std::string name_of_marker() const { return begins() ? "BOS" : "END"; }
  // Of the next token, where that is not the marker.
  int64_t n_labels() const { return params_.length - (begins() ? 1 : 2); }
  // Tokens that are neither the marker nor in the stretch.
  int64_t n_free() const { return params_.length - 1 - params_.subsequence * params_.times; }

  // Choices of the tokens times choices of the places: an upper bound, as a sequence may arise in several
  // ways.
  double most_sequences() const {
    const auto free = static_cast<double>(n_free());
    double count =
        std::pow(static_cast<double>(params_.vocabulary), free + static_cast<double>(params_.subsequence));
    for (int64_t i = 1; i <= params_.times; ++i)
      count *= (free + static_cast<double>(i)) / static_cast<double>(i);
    return std::round(count);
  }

  // Where the token at this offset of the stretch stands, in each occurrence.
  std::vector<int64_t> occurrences(const int64_t* repeat_of, int64_t offset) const {
    std::vector<int64_t> found;
    for (int64_t at = 0; at < params_.length; ++at) {
      if (repeat_of[at] < 0) continue;
      if (found.empty()) {  // the first token of the second occurrence
        const int64_t first = repeat_of[at] + offset;
        found = {first, at + offset};
      } else if (repeat_of[at] == found.back()) {
        found.push_back(at);
      }
    }
    return found;
  }

  static int64_t* row_of(const torch::Tensor& x, int64_t row) {
    return x.data_ptr<int64_t>() + row * x.size(1);
  }

  // [batch, times], ascending: where the occurrences begin; every way to place them without overlap is
  // equally likely. Of n_free + times things in a line, other tokens and occurrences, it chooses which are
  // occurrences by Floyd's algorithm for random subsets (Bentley & Floyd 1987).
  torch::Tensor draw_starts(int64_t batch_size, const torch::Generator& rng) const {
    const auto starts = torch::empty({batch_size, params_.times}, torch::kInt64);
    for (int64_t i = 0; i < params_.times; ++i) {
      const int64_t top = n_free() + i;
      const auto drawn = torch::randint(top + 1, {batch_size}, rng, torch::kInt64);
      for (int64_t row = 0; row < batch_size; ++row) {
        int64_t* const chosen = row_of(starts, row);
        const int64_t place = drawn.data_ptr<int64_t>()[row];
        const bool taken = std::find(chosen, chosen + i, place) != chosen + i;
        chosen[i] = taken ? top : place;
      }
    }
    for (int64_t row = 0; row < batch_size; ++row) {
      int64_t* const chosen = row_of(starts, row);
      std::sort(chosen, chosen + params_.times);
      for (int64_t i = 0; i < params_.times; ++i)
        chosen[i] += (begins() ? 1 : 0) + i * (params_.subsequence - 1);
    }
    return starts;
  }

  // One sequence. `groups` is about the next token: entry i belongs to the token at i + 1.
  void write(const int64_t* starts, const int64_t* stretch, const int64_t* others, int64_t* tokens,
             int64_t* repeat_of, int64_t* groups) const {
    int64_t at = 0;
    if (begins()) tokens[at++] = marker();
    for (int64_t i = 0; i < params_.times; ++i) {
      while (at < starts[i]) tokens[at++] = *others++;
      for (int64_t offset = 0; offset < params_.subsequence; ++offset, ++at) {
        tokens[at] = stretch[offset];
        if (i == 0) continue;
        repeat_of[at] = starts[i - 1] + offset;
        if (offset > 0) groups[at - 1] = kRepeats;  // its first token comes without warning
      }
    }
    while (at <= n_labels()) tokens[at++] = *others++;
    if (!begins()) tokens[at] = marker();
  }

  Params params_;
};

}  // namespace

ORRERY_TASK(RepeatedSubsequence, Params, "repeated_subsequence", "1.0.0",
            "Random tokens in which one stretch is repeated: induction.")
