#include "engine/scaffold/python_probe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <cctype>
#include <regex>
#include <sstream>

#include "sdk/base/names.h"
#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

// Reads the arguments of a decorator that are literals, from the left.
class Arguments {
 public:
  Arguments(std::string text, std::string where) : text_(std::move(text)), where_(std::move(where)) {}

  PythonProbe read() {
    PythonProbe probe;
    if (!take('(')) return probe;
    while (!take(')')) {
      const std::string name = word();
      if (!take('=')) fail(name);
      if (name == "inputs")
        probe.inputs = text_of(name);
      else if (name == "activations")
        probe.activations = texts_of(name);
      else if (name == "null")
        probe.null = flag_of(name);
      else
        fail(name);
      take(',');
    }
    if (probe.inputs != "test" && probe.inputs != "train" && probe.inputs != "grid")
      throw UsageError(
          fmt::format("{}: inputs = \"{}\": expected train, test or grid", where_, probe.inputs));
    return probe;
  }

 private:
  void skip() {
    while (at_ < text_.size() && (std::isspace(static_cast<unsigned char>(text_[at_])) || text_[at_] == '#'))
      at_ = text_[at_] == '#' ? std::min(text_.find('\n', at_), text_.size()) : at_ + 1;
  }
  bool take(char c) {
    skip();
    const bool there = at_ < text_.size() && text_[at_] == c;
    at_ += there;
    return there;
  }
  std::string word() {
    skip();
    const size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_'))
      ++at_;
    return text_.substr(begin, at_ - begin);
  }
  std::string text_of(const std::string& name) {
    skip();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    const size_t end = quote == '"' || quote == '\'' ? text_.find(quote, at_ + 1) : std::string::npos;
    if (end == std::string::npos) fail(name);
    const std::string text = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    if (text.find_first_of("\\\"\n") != std::string::npos) fail(name);  // it goes into C++ as it is
    return text;
  }
  std::vector<std::string> texts_of(const std::string& name) {
    const char end = take('[') ? ']' : take('(') ? ')' : '\0';
    if (end == '\0') return {text_of(name)};
    std::vector<std::string> all;
    while (!take(end)) {
      all.push_back(text_of(name));
      take(',');
    }
    return all;
  }
  bool flag_of(const std::string& name) {
    const std::string flag = word();
    if (flag != "True" && flag != "False") fail(name);
    return flag == "True";
  }
  [[noreturn]] void fail(const std::string& name) const {
    throw UsageError(
        fmt::format("{}: the argument {} of the decorator is not a text, a list of texts, True or False that "
                    "stands there",
                    where_, name.empty() ? "after the last one read" : "\"" + name + "\""),
        "write it out; or call orrery.new_probe(function) in Python, which knows what it is");
  }

  const std::string text_, where_;
  size_t at_ = 0;
};

struct Line {
  std::string text;
  bool in_string = false;  // it begins inside a string of several lines
};

size_t end_of_string(const std::string& line, size_t at) {
  size_t end = at + 1;
  while (end < line.size() && line[end] != line[at]) end += line[end] == '\\' ? 2 : 1;
  return end + 1;
}

// Goes over one line; `open` is the quotes that end the string that it is in, "" outside of one.
void follow_strings(const std::string& line, std::string& open) {
  for (size_t i = 0; i < line.size();) {
    const std::string three = line.substr(i, 3);
    const bool quotes = three == R"(""")" || three == "'''";
    if (!open.empty()) {
      if (three == open)
        open.clear(), i += 3;
      else
        i += line[i] == '\\' ? 2 : 1;
    } else if (quotes) {
      open = three;
      i += 3;
    } else if (line[i] == '#') {
      return;
    } else {
      i = line[i] == '"' || line[i] == '\'' ? end_of_string(line, i) : i + 1;
    }
  }
}

std::vector<Line> lines_of(const std::filesystem::path& file) {
  const char* hint = "give a Python file with a function under @orrery.probe";
  if (!std::filesystem::exists(file))
    throw UsageError(fmt::format("{}: there is no such file", file.string()), hint);
  if (!std::filesystem::is_regular_file(file))
    throw UsageError(fmt::format("{}: it is not a plain file", file.string()), hint);
  const std::string content = read_file(file);
  if (!is_utf8(content))
    throw UsageError(fmt::format("{}: it is not UTF-8", file.string()),
                     "save it as UTF-8, as Python wants it");
  std::istringstream text(content);
  std::vector<Line> lines;
  std::string open;
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back({line, !open.empty()});
    follow_strings(line, open);
  }
  return lines;
}

struct Found {
  std::string name;
  size_t decorator, def, end;  // lines
};

// A function ends before the next line that begins at the margin.
size_t end_of_function(const std::vector<Line>& lines, size_t def) {
  size_t end = def + 1;
  for (size_t i = end; i < lines.size(); ++i) {
    const std::string& text = lines[i].text;
    if (text.find_first_not_of(" \t") == std::string::npos) continue;
    if (!lines[i].in_string && std::string(" \t)").find(text[0]) == std::string::npos) break;
    end = i + 1;
  }
  return end;
}

std::vector<Found> probes_in(const std::vector<Line>& lines) {
  static const std::regex decorator(R"(@(\w+\.)*probe\s*(\(.*|#.*)?)"), def(R"(def\s+(\w+)\s*\(.*)");
  std::vector<Found> all;
  std::smatch match;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].in_string || !std::regex_match(lines[i].text, decorator)) continue;
    size_t at = i + 1;
    while (at < lines.size() && (lines[at].in_string || !std::regex_match(lines[at].text, match, def))) ++at;
    if (at < lines.size()) all.push_back({match[1], i, at, end_of_function(lines, at)});
  }
  return all;
}

Found choose(const std::vector<Found>& all, const std::string& file, const std::string& name) {
  std::vector<std::string> names;
  for (const Found& each : all) {
    if (each.name == name) return each;
    names.push_back(each.name);
  }
  if (all.size() == 1) return all.front();
  if (all.empty())
    throw UsageError(fmt::format("{}: there is no function under @orrery.probe", file),
                     std::filesystem::path(file).extension() == ".ipynb"
                         ? "call orrery.new_probe(function) in the notebook"
                         : "write @orrery.probe above the function, at the margin");
  throw UsageError(fmt::format("{}: there is no probe \"{}\"", file, name),
                   fmt::format("there are: {}", fmt::join(names, ", ")));
}

std::vector<std::string> weights_named_in(const std::string& source) {
  static const std::regex use(R"(\bweights\s*\[\s*["']([\w.]+)["']\s*\])");
  std::vector<std::string> names;
  for (std::sregex_iterator at(source.begin(), source.end(), use), none; at != none; ++at)
    if (std::find(names.begin(), names.end(), (*at)[1]) == names.end()) names.push_back((*at)[1]);
  return names;
}

}  // namespace

PythonProbe read_python_probe(const std::filesystem::path& file, const std::string& name) {
  const std::vector<Line> all = lines_of(file);
  const Found found = choose(probes_in(all), file.string(), name);
  std::vector<std::string> lines;
  for (const Line& each : all) lines.push_back(each.text);
  const auto line = [&](size_t number) { return lines.begin() + static_cast<std::ptrdiff_t>(number); };
  const std::string decorator = fmt::format("{}", fmt::join(line(found.decorator), line(found.def), "\n"));
  const size_t after = decorator.find("probe") + 5;
  PythonProbe probe =
      Arguments(decorator.substr(after), fmt::format("{}:{}", file.string(), found.decorator + 1)).read();
  probe.lines.assign(line(found.decorator), line(found.end));
  probe.weights = weights_named_in(fmt::format("{}", fmt::join(probe.lines, "\n")));
  return probe;
}

}  // namespace orrery::engine
