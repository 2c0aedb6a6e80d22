#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/splits.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <vector>

namespace orrery {
namespace {

// The init_by_array of Matsumoto & Nishimura's mt19937ar.c, with which CPython seeds its generator from an
// integer of any size: a seed sequence for std::mt19937, whose own seeding differs.
class InitByArray {
 public:
  using result_type = uint32_t;

  explicit InitByArray(uint64_t seed) : key_{static_cast<uint32_t>(seed)} {
    if (seed >> 32) key_.push_back(static_cast<uint32_t>(seed >> 32));
  }

  // Fills the whole state, [first, last).
  template <class Iterator>
  void generate(Iterator first, Iterator last) const {
    std::vector<uint32_t> state(last - first);
    const size_t n = state.size();
    state[0] = 19650218;
    for (size_t i = 1; i < n; ++i) state[i] = 1812433253 * mixed(state[i - 1]) + static_cast<uint32_t>(i);
    size_t i = 1;
    const auto advance = [&] {
      if (++i < n) return;
      state[0] = state[n - 1];
      i = 1;
    };
    for (size_t k = 0; k < std::max(n, key_.size()); ++k, advance()) {
      const size_t j = k % key_.size();
      state[i] = (state[i] ^ (mixed(state[i - 1]) * 1664525)) + key_[j] + static_cast<uint32_t>(j);
    }
    for (size_t k = 1; k < n; ++k, advance())
      state[i] = (state[i] ^ (mixed(state[i - 1]) * 1566083941)) - static_cast<uint32_t>(i);
    state[0] = 0x80000000;
    std::copy(state.begin(), state.end(), first);
  }

 private:
  static uint32_t mixed(uint32_t x) { return x ^ (x >> 30); }

  std::vector<uint32_t> key_;  // the seed in words of 32 bits, the lowest first
};

// CPython's _randbelow_with_getrandbits: draws as many bits as `end` has until they are below it.
uint32_t random_below(uint32_t end, std::mt19937& bits) {
  const int surplus = 32 - std::bit_width(end);
  auto drawn = static_cast<uint32_t>(bits()) >> surplus;
  while (drawn >= end) drawn = static_cast<uint32_t>(bits()) >> surplus;
  return drawn;
}

// Parses a row number, 0 to n-1, at `place` ("train.txt:3").
int64_t row_number(const std::string& word, int64_t n, const std::string& place) {
  int64_t row = -1;
  const char* end = word.data() + word.size();
  const auto [stop, failure] = std::from_chars(word.data(), end, row);
  if (failure == std::errc{} && stop == end && row >= 0 && row < n) return row;
  throw UsageError(
      fmt::format("{}: expected a row number from 0 to {}, got \"{}\"", place, n - 1, word.substr(0, 40)),
      "an index file lists the rows trained on, separated by spaces or newlines");
}

// What cannot be a list of rows, by its size or as a device without end, is not read.
void refuse_endless(const std::string& path) {
  constexpr uintmax_t most = uintmax_t{1} << 30;
  std::error_code failure;
  if (!std::filesystem::exists(path, failure) || std::filesystem::is_directory(path, failure)) return;
  if (!std::filesystem::is_regular_file(path, failure))
    throw UsageError(fmt::format("{}: a device or pipe, where an index file was expected", path),
                     "an index file lists the rows trained on, separated by spaces or newlines");
  if (const uintmax_t size = std::filesystem::file_size(path, failure); !failure && size > most)
    throw UsageError(fmt::format("{}: {} bytes, where an index file has at most {}", path, size, most),
                     "an index file lists the rows trained on, separated by spaces or newlines");
}

// The product of 0.29 and 100 must count as 29, though it is not quite in binary.
int64_t share_of(double fraction, int64_t n) {
  return static_cast<int64_t>(std::floor(fraction * static_cast<double>(n) + 1e-6));
}

// The numbers 0..n-1 that are not in `rows`, ascending.
torch::Tensor others(const torch::Tensor& rows, int64_t n) {
  return torch::ones({n}, torch::kBool).index_fill_(0, rows, false).nonzero().flatten();
}

void check_rule(const SplitParams& params) {
  const std::string& rule = params.split_rule;
  if (rule == "file" && params.split_file.empty())
    throw UsageError("split.rule = \"file\" needs split.file",
                     "set split.file to a list of the rows trained on");
  if (rule != "file" && !params.split_file.empty())
    throw UsageError(fmt::format("split.file is given, but split.rule is \"{}\"", rule),
                     "set split.rule = \"file\", or leave out split.file");
  if (rule == "file" && params.n_train > 0)
    throw UsageError(
        fmt::format("n_train = {} is given, but split.file decides what is trained on", params.n_train),
        "leave out n_train, or choose another split.rule");
  if (rule != "cpython_shuffle" && params.split_seed != 0)
    throw UsageError(
        fmt::format("split.seed = {} is given, but split.rule is \"{}\"", params.split_seed, rule),
        "set split.rule = \"cpython_shuffle\"; the seed of the rule \"random\" is [seeds] data");
}

}  // namespace

torch::Tensor cpython_shuffle(int64_t n, int64_t seed) {
  if (n < 0 || n > 0xffffffff) throw Error(fmt::format("cannot shuffle {} rows", n));
  // Correct for -2^63, too.
  InitByArray key(seed < 0 ? -static_cast<uint64_t>(seed) : static_cast<uint64_t>(seed));
  std::mt19937 bits(key);
  auto rows = torch::arange(n, torch::kInt64);
  int64_t* row = rows.data_ptr<int64_t>();
  for (int64_t i = n - 1; i > 0; --i)
    std::swap(row[i], row[random_below(static_cast<uint32_t>(i + 1), bits)]);
  return rows;
}

torch::Tensor read_index_file(const std::string& path, int64_t n) {
  refuse_endless(path);
  std::ifstream file(path);
  std::vector<int64_t> rows, line_of(n, 0);
  std::string line, word;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    const std::string place = fmt::format("{}:{}", path, number);
    for (std::istringstream words(line); words >> word;) {
      const int64_t row = row_number(word, n, place);
      if (line_of[row])
        throw UsageError(fmt::format("{}: row {} is listed on line {} already", place, row, line_of[row]),
                         "list each row trained on once");
      line_of[row] = number;
      rows.push_back(row);
    }
  }
  if (!file.eof())
    throw UsageError(fmt::format("cannot read the index file \"{}\"", path),
                     "a relative path starts at the folder the program was started in");
  return torch::tensor(rows, torch::kInt64);
}

void SplitParams::check_split(int64_t n) const {
  check_rule(*this);
  if (split_rule == "file") {
    if (read_index_file(split_file, n).numel() == 0)
      throw UsageError(fmt::format("{}: lists no rows to train on", split_file));
    return;
  }
  const int64_t trained_on = n_train > 0 ? n_train : share_of(train_fraction, n);
  if (trained_on < 1 || trained_on > n)
    throw UsageError(fmt::format("training would have {} of the {} pairs that exist", trained_on, n),
                     fmt::format("set n_train, or train_fraction, so that it has 1 to {}", n));
}

std::pair<torch::Tensor, torch::Tensor> SplitParams::split_rows(int64_t n, torch::Generator rng) const {
  check_split(n);
  if (split_rule == "file") {
    const auto train = read_index_file(split_file, n);
    return {train, others(train, n)};
  }
  const auto order =
      split_rule == "random" ? torch::randperm(n, rng, torch::kInt64) : cpython_shuffle(n, split_seed);
  const int64_t trained_on = n_train > 0 ? n_train : share_of(train_fraction, n);
  return {order.narrow(0, 0, trained_on), order.narrow(0, trained_on, n - trained_on)};
}

void SampledParams::check_sampled(double exist, const std::string& examples) const {
  if (static_cast<double>(n_train) > exist)
    throw UsageError(fmt::format("training would have {} of the {} {} that exist", n_train,
                                 static_cast<int64_t>(exist), examples),
                     "lower n_train, or set it to 0 for endless data");
}

Split SampledParams::sampled_split(const Task& task, torch::Generator rng) const {
  Split split;
  split.test = task.sample(n_test, final_step, rng);
  split.train = task.sample(endless() ? n_test : n_train, final_step, rng);
  return split;
}

}  // namespace orrery
