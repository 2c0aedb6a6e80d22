#include "engine/import/axes.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <sstream>

namespace orrery::engine {
namespace {

bool is_number(const std::string& name) {
  return std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c); });
}

// "(a b) c" as words, each bracket a word of its own.
std::string spaced(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '(' || c == ')' ? fmt::format(" {} ", c) : std::string(1, c);
  return result;
}

int64_t size_of(const std::string& name, const Sizes& sizes) {
  if (is_number(name)) return std::stoll(name);
  const auto found = sizes.find(name);
  return found == sizes.end() ? -1 : found->second;
}

}  // namespace

Axes::Axes(const std::string& text) : text_(text) {
  const auto refuse = [&](const std::string& what) {
    throw UsageError(fmt::format("axes \"{}\": {}", text, what),
                     "write the axes as the file has them: \"(n_heads d_head) d_model\"");
  };
  std::istringstream words(spaced(text));
  std::set<std::string> seen;
  bool open = false;
  for (std::string word; words >> word;) {
    if (word == "(" || word == ")") {
      if (open == (word == "(")) refuse("brackets that do not match");
      open = !open;
      if (open) dimensions_.emplace_back();
      continue;
    }
    const bool good =
        std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; });
    if (!good || word.size() > 30) refuse(fmt::format("\"{}\" is not a name", word));
    if (is_number(word) && (!open || word.size() > 4 || std::stoi(word) < 1))
      refuse(fmt::format("{}: a number of parts belongs in brackets, with the axes it divides", word));
    if (!seen.insert(is_number(word) ? "#" : word).second) refuse(fmt::format("\"{}\" comes twice", word));
    if (!open) dimensions_.emplace_back();
    dimensions_.back().push_back(word);
  }
  if (open) refuse("brackets that do not match");
}

std::vector<std::string> Axes::names() const {
  std::vector<std::string> all;
  for (const auto& dimension : dimensions_)
    std::copy_if(dimension.begin(), dimension.end(), std::back_inserter(all),
                 [](const std::string& name) { return !is_number(name); });
  return all;
}

int64_t Axes::parts() const {
  for (const auto& dimension : dimensions_)
    for (const std::string& name : dimension)
      if (is_number(name)) return std::stoll(name);
  return 1;
}

std::optional<Sizes> Axes::solve(const std::vector<int64_t>& shape, const Sizes& known) const {
  if (shape.size() != dimensions_.size()) return {};
  Sizes solved;
  for (size_t i = 0; i < shape.size(); ++i) {
    int64_t rest = shape[i];
    std::vector<std::string> open;
    for (const std::string& name : dimensions_[i]) {
      const int64_t size = dimensions_[i].size() == 1 ? -1 : size_of(name, known);
      if (size < 0)
        open.push_back(name);
      else if (size == 0 || rest % size != 0)
        open.resize(2);  // does not divide, so nothing follows
      else
        rest /= size;
    }
    if (open.size() == 1) solved[open[0]] = rest;
  }
  return solved;
}

std::vector<int64_t> Axes::shape(const Sizes& sizes) const {
  std::vector<int64_t> shape;
  for (const auto& dimension : dimensions_) {
    int64_t size = 1;
    for (const std::string& name : dimension) {
      const int64_t factor = size_of(name, sizes);
      size = size < 0 || factor < 0 ? -1 : size * factor;
    }
    shape.push_back(size);
  }
  return shape;
}

torch::Tensor rearrange(const torch::Tensor& tensor, const Axes& from, const Axes& to, const Sizes& sizes,
                        int64_t part) {
  std::vector<std::string> names;
  std::vector<int64_t> split;
  for (const auto& dimension : from.dimensions())
    for (const std::string& name : dimension) {
      names.push_back(name);
      split.push_back(size_of(name, sizes));
    }
  torch::Tensor result = tensor.reshape(split);
  if (const auto number = std::find_if(names.begin(), names.end(), is_number); number != names.end()) {
    result = result.select(number - names.begin(), part);
    names.erase(number);
  }
  std::vector<int64_t> order;
  for (const std::string& name : to.names())
    order.push_back(std::find(names.begin(), names.end(), name) - names.begin());
  return result.permute(order).reshape(to.shape(sizes)).contiguous();
}

}  // namespace orrery::engine
