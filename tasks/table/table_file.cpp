#include "table_file.h"

#include <orrery/error.h>
#include <orrery/subspace.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace table {
namespace {

using orrery::UsageError;

const char* const kFormat =
    "an example is a line of tokens, a bar and labels, such as 5 7 12 | 0; labels of -1 are not scored";
const char* const kCsvFormat =
    "the first line of a .csv names its columns, token_0, token_1, ... and label_0, label_1, ...";

std::string counted(size_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

// What a file holds, for a message: short, and without control characters.
std::string quoted(std::string_view word) {
  std::string text(word.substr(0, 40));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return "\"" + text + "\"";
}

// Devices without end, and what is too large to be a table, are not read.
std::string contents_of(const std::string& path) {
  constexpr uintmax_t most = uintmax_t{1} << 30;
  std::error_code failure;
  const bool exists = std::filesystem::exists(path, failure);
  if (exists && !std::filesystem::is_regular_file(path, failure))
    throw UsageError(path + ": a folder, device or pipe, where a table was expected", kFormat);
  if (const uintmax_t size = exists ? std::filesystem::file_size(path, failure) : 0; !failure && size > most)
    throw UsageError(
        path + ": " + std::to_string(size) + " bytes, where a table has at most " + std::to_string(most),
        "keep fewer examples");
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file)
    throw UsageError("cannot read the table \"" + path + "\"",
                     "a relative path starts at the folder the program was started in");
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  return text;
}

struct Word {
  std::string_view text;
  size_t column;  // counted from 1
};

bool separates(char c) { return c == ' ' || c == '\t' || c == ',' || c == '\r'; }

// The word of `line` at or after `at`, which moves behind it. A bar is a word.
std::optional<Word> next_word(std::string_view line, size_t& at) {
  while (at < line.size() && separates(line[at])) ++at;
  if (at == line.size()) return std::nullopt;
  const size_t start = at++;
  if (line[start] != '|')
    while (at < line.size() && !separates(line[at]) && line[at] != '|') ++at;
  return Word{line.substr(start, at - start), start + 1};
}

// `line` up to the comment, which does not begin inside of quotes.
std::string_view without_comment(std::string_view line) {
  bool quotes = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') quotes = !quotes;
    if (line[i] == '#' && !quotes) return line.substr(0, i);
  }
  return line;
}

// The cell of a .csv from `first` on, and behind its end. One in quotes may hold commas, and a quote as two;
// it keeps these, for only numbers and names of columns are of interest.
std::pair<Word, size_t> next_cell(std::string_view line, size_t first) {
  while (first < line.size() && line[first] != ',' && separates(line[first])) ++first;
  size_t closing = std::string_view::npos;
  if (first < line.size() && line[first] == '"') {
    closing = line.find('"', first + 1);
    while (closing != line.npos && closing + 1 < line.size() && line[closing + 1] == '"')
      closing = line.find('"', closing + 2);
  }
  size_t end = std::min(line.find(',', closing == line.npos ? first : closing), line.size());
  const size_t next = end + 1;
  while (end > first && separates(line[end - 1])) --end;
  const bool quoted_whole = closing != line.npos && closing + 1 == end;
  return {{quoted_whole ? line.substr(first + 1, closing - first - 1) : line.substr(first, end - first),
           first + 1},
          next};
}

// The cells between the commas of `line`, without the blanks and the quotes around them.
std::vector<Word> cells_of(std::string_view line) {
  std::vector<Word> cells;
  for (size_t start = 0; start <= line.size();) {
    const auto [cell, next] = next_cell(line, start);
    cells.push_back(cell);
    start = next;
  }
  return cells;
}

torch::Tensor rows_of(std::vector<int64_t>& numbers, size_t n) {
  const auto rows = static_cast<int64_t>(n);
  return torch::from_blob(numbers.data(), {rows, static_cast<int64_t>(numbers.size()) / rows}, torch::kInt64)
      .clone();
}

// The numbers of a text or .csv file, line by line.
class Reader {
 public:
  Reader(const std::string& path, const Vocabulary& vocabulary) : path_(path), vocabulary_(vocabulary) {}

  /// Where an example was written: "line 7".
  std::string place(size_t example) const { return "line " + std::to_string(lines_[example]); }

  Examples text(std::string_view contents) {
    for_each_line(contents, [&](std::string_view line) { add_line(line); });
    return examples(kFormat);
  }

  Examples csv(std::string_view contents) {
    for_each_line(contents, [&](std::string_view line) {
      const std::vector<Word> cells = cells_of(line);
      if (columns_.empty())
        read_header(cells);
      else
        add_cells(line, cells);
    });
    return examples(kCsvFormat);
  }

 private:
  // A column of a .csv: its place among the tokens or the labels. `ignored` is the unnamed one that pandas
  // writes for its index.
  struct Column {
    enum Kind { token, label, ignored } kind = ignored;
    size_t index = 0;
  };

  // Calls `use` for the lines that hold something beside comments.
  template <class Use>
  void for_each_line(std::string_view contents, Use&& use) {
    for (size_t start = 0; start < contents.size(); ++line_) {
      const size_t end = std::min(contents.find('\n', start), contents.size());
      std::string_view line = contents.substr(start, end - start);
      line = without_comment(line);
      if (line.find_first_not_of(" \t\r") != std::string_view::npos) use(line);
      start = end + 1;
    }
  }

  [[noreturn]] void refuse(size_t column, const std::string& what, const std::string& hint) const {
    throw UsageError(path_ + ":" + std::to_string(line_) + ":" + std::to_string(column) + ": " + what, hint);
  }

  int64_t number(const Word& word, bool is_label) const {
    const int64_t given = is_label ? vocabulary_.d_vocab_out : vocabulary_.d_vocab;
    const int64_t end = given > 0 ? given : most_values, least = is_label ? -1 : 0;
    int64_t value = 0;
    const char* const last = word.text.data() + word.text.size();
    const auto [stop, failure] = std::from_chars(word.text.data(), last, value);
    if (failure == std::errc{} && stop == last && value >= least && value < end) return value;
    const std::string range = " from 0 to " + std::to_string(end - 1);
    refuse(word.column,
           "expected a " +
               (is_label ? "label" + range + ", or -1 for one that is not scored" : "token" + range) +
               ", got " + quoted(word.text),
           given > 0 ? std::string(is_label ? "d_vocab_out" : "d_vocab") + " is " + std::to_string(given)
                     : kFormat);
  }

  void add_line(std::string_view line) {
    const size_t tokens_before = tokens_.size(), labels_before = labels_.size();
    size_t at = 0, bar = 0, end = 1;
    while (const auto word = next_word(line, at)) {
      end = at + 1;
      if (word->text != "|")
        (bar ? labels_ : tokens_).push_back(number(*word, bar > 0));
      else if (bar)
        refuse(word->column, "a second bar; the first is in column " + std::to_string(bar), kFormat);
      else
        bar = word->column;
    }
    if (!bar) refuse(end, "expected a bar \"|\" after the tokens, and then the labels", kFormat);
    const size_t n_tokens = tokens_.size() - tokens_before, n_labels = labels_.size() - labels_before;
    if (n_tokens == 0) refuse(bar, "expected tokens before the bar", kFormat);
    if (n_labels == 0) refuse(end, "expected labels after the bar", kFormat);
    lines_.push_back(line_);
    if (n_++ == 0) {
      first_line_ = line_, n_tokens_ = n_tokens, n_labels_ = n_labels;
      return;
    }
    const std::string first = " on line " + std::to_string(first_line_);
    if (n_tokens != n_tokens_)
      refuse(bar, counted(n_tokens, "token") + ", and " + std::to_string(n_tokens_) + first,
             "all examples have as many tokens; fill shorter ones up with a token of their own");
    if (n_labels != n_labels_)
      refuse(end, counted(n_labels, "label") + ", and " + std::to_string(n_labels_) + first,
             "all examples have as many labels; write -1 for those that are not scored");
  }

  // The column that a header names "token_3" or "label_0".
  Column column_of(const Word& cell) const {
    if (cell.text.empty() && cell.column == 1) return {};
    for (const auto& [prefix, kind] : {std::pair{"token_", Column::token}, {"label_", Column::label}}) {
      if (!cell.text.starts_with(prefix)) continue;
      const std::string_view digits = cell.text.substr(6);
      size_t index = 0;
      const auto [stop, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
      if (failure == std::errc{} && stop == digits.data() + digits.size()) return {kind, index};
    }
    refuse(cell.column,
           "expected the name of a column, token_0, token_1, ... or label_0, label_1, ..., got " +
               quoted(cell.text),
           kCsvFormat);
  }

  void read_header(const std::vector<Word>& cells) {
    for (const Word& cell : cells) {
      columns_.push_back(column_of(cell));
      const Column& now = columns_.back();
      for (size_t i = 0; i + 1 < columns_.size(); ++i)
        if (now.kind != Column::ignored && columns_[i].kind == now.kind && columns_[i].index == now.index)
          refuse(cell.column, "the column " + std::string(cell.text) + " occurs twice", kCsvFormat);
    }
    n_tokens_ = count(Column::token, "token_");
    n_labels_ = count(Column::label, "label_");
  }

  // The number of columns of this kind, which are numbered from 0 without gaps.
  size_t count(Column::Kind kind, const std::string& prefix) const {
    std::vector<size_t> indices;
    for (const Column& column : columns_)
      if (column.kind == kind) indices.push_back(column.index);
    std::sort(indices.begin(), indices.end());
    for (size_t i = 0; i < std::max<size_t>(indices.size(), 1); ++i)
      if (indices.size() <= i || indices[i] != i)
        refuse(1, "there is no column " + prefix + std::to_string(i), kCsvFormat);
    return indices.size();
  }

  void add_cells(std::string_view line, const std::vector<Word>& cells) {
    if (cells.size() != columns_.size())
      refuse(line.size() + 1,
             counted(cells.size(), "cell") + ", and the header has " + counted(columns_.size(), "column"),
             kCsvFormat);
    tokens_.resize(tokens_.size() + n_tokens_);
    labels_.resize(labels_.size() + n_labels_);
    for (size_t i = 0; i < cells.size(); ++i) {
      const auto [kind, index] = columns_[i];
      if (kind == Column::token) tokens_[n_ * n_tokens_ + index] = number(cells[i], false);
      if (kind == Column::label) labels_[n_ * n_labels_ + index] = number(cells[i], true);
    }
    lines_.push_back(line_);
    ++n_;
  }

  Examples examples(const char* hint) {
    if (n_ == 0) throw UsageError(path_ + ": no examples", hint);
    return {rows_of(tokens_, n_), rows_of(labels_, n_)};
  }

  const std::string& path_;
  const Vocabulary& vocabulary_;
  size_t line_ = 1, first_line_ = 0;
  size_t n_ = 0, n_tokens_ = 0, n_labels_ = 0;
  std::vector<int64_t> tokens_, labels_;  // of all lines so far
  std::vector<size_t> lines_;             // of each example
  std::vector<Column> columns_;
};

// "[3, 4]"
std::string shape_of(const torch::Tensor& numbers) {
  std::string text;
  for (const int64_t size : numbers.sizes()) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

// Throws unless the tensor `name` holds whole numbers of at least `least`, below `given` where that is not 0.
torch::Tensor checked(const std::string& path, const std::string& name, torch::Tensor numbers, int64_t least,
                      int64_t given) {
  const std::string hint = "tokens are whole numbers [n, n_ctx], labels [n] or [n, n_labels]";
  if (!c10::isIntegralType(numbers.scalar_type(), false))
    throw UsageError(path + ": " + name + " holds " + toString(numbers.scalar_type()) +
                         ", where whole numbers were expected",
                     hint);
  if (name == "labels" && numbers.dim() == 1) numbers = numbers.unsqueeze(1);
  if (numbers.dim() != 2 || numbers.size(0) < 1 || numbers.size(1) < 1)
    throw UsageError(path + ": " + name + " is " + shape_of(numbers), hint);
  numbers = numbers.to(torch::kInt64).contiguous();
  const int64_t end = given > 0 ? given : most_values, width = numbers.size(1);
  const int64_t* const data = numbers.data_ptr<int64_t>();
  for (int64_t i = 0; i < numbers.numel(); ++i)
    if (data[i] < least || data[i] >= end)
      throw UsageError(path + ": " + name + "[" + std::to_string(i / width) + ", " +
                           std::to_string(i % width) + "] is " + std::to_string(data[i]) +
                           ", expected 0 to " + std::to_string(end - 1) +
                           (least < 0 ? ", or -1 for one that is not scored" : ""),
                       given > 0 ? "mend it, or raise the size of the vocabulary" : hint);
  return numbers;
}

Examples read_safetensors(const std::string& path, const Vocabulary& vocabulary) {
  Examples examples{checked(path, "tokens", orrery::read_tensor(path, "tokens"), 0, vocabulary.d_vocab),
                    checked(path, "labels", orrery::read_tensor(path, "labels"), -1, vocabulary.d_vocab_out)};
  if (examples.tokens.size(0) != examples.labels.size(0))
    throw UsageError(path + ": " + std::to_string(examples.tokens.size(0)) + " rows of tokens, and " +
                         std::to_string(examples.labels.size(0)) + " of labels",
                     "give each example its tokens and its labels");
  return examples;
}

// "2 1" of one row.
std::string row_text(const torch::Tensor& numbers, int64_t row) {
  std::string text;
  for (int64_t i = 0; i < std::min<int64_t>(numbers.size(1), 12); ++i)
    text += (i > 0 ? " " : "") + std::to_string(numbers[row][i].item<int64_t>());
  return text + (numbers.size(1) > 12 ? " ..." : "");
}

// What is known of the labels of some tokens, and from which example.
struct Known {
  std::vector<int64_t> labels, examples;
};

// Throws if two examples have the same tokens and a label that both score is not the same.
void refuse_contradictions(const std::string& path, const Examples& examples,
                           const std::function<std::string(size_t)>& place) {
  const int64_t n = examples.tokens.size(0), n_labels = examples.labels.size(1);
  const size_t row_bytes = static_cast<size_t>(examples.tokens.size(1)) * sizeof(int64_t);
  const auto* tokens = reinterpret_cast<const char*>(examples.tokens.data_ptr<int64_t>());
  const int64_t* labels = examples.labels.data_ptr<int64_t>();
  std::unordered_map<std::string_view, Known> all;
  for (int64_t row = 0; row < n; ++row, labels += n_labels) {
    auto [at, fresh] =
        all.try_emplace({tokens + static_cast<size_t>(row) * row_bytes, row_bytes},
                        Known{{labels, labels + n_labels}, std::vector<int64_t>(n_labels, row)});
    if (fresh) continue;
    for (size_t i = 0; i < static_cast<size_t>(n_labels); ++i) {
      int64_t &known = at->second.labels[i], &example = at->second.examples[i];
      if (labels[i] < 0 || labels[i] == known) continue;
      if (known >= 0)
        throw UsageError(path + ": " + place(example) + " and " + place(row) + " have the same tokens, " +
                             row_text(examples.tokens, row) + ", and different labels, " +
                             row_text(examples.labels, example) + " and " + row_text(examples.labels, row),
                         "mend one of them; if the labels are drawn at random: contradictions = \"keep\"");
      known = labels[i];
      example = row;
    }
  }
}

}  // namespace

Examples read_examples(const std::string& path, const Vocabulary& vocabulary, Contradictions contradictions) {
  const bool refuse = contradictions == Contradictions::refuse;
  if (path.ends_with(".safetensors")) {
    Examples examples = read_safetensors(path, vocabulary);
    if (refuse)
      refuse_contradictions(path, examples, [](size_t row) { return "row " + std::to_string(row); });
    return examples;
  }
  const std::string contents = contents_of(path);
  Reader reader(path, vocabulary);
  Examples examples = path.ends_with(".csv") ? reader.csv(contents) : reader.text(contents);
  if (refuse) refuse_contradictions(path, examples, [&](size_t row) { return reader.place(row); });
  return examples;
}

}  // namespace table
