#include <orrery/error.h>
#include <orrery/groups.h>

#include <charconv>
#include <filesystem>
#include <fstream>

#include "named_groups.h"

namespace finite_group {
namespace {

using orrery::UsageError;
using Table = std::vector<std::vector<int64_t>>;

const char* const kTableHint =
    "a Cayley table is n lines of n numbers from 0 to n-1: row x and column y hold the product x y";

// Appends the numbers of one line to `row`. `place` is "file:line".
void read_row(const std::string& line, const std::string& place, std::vector<int64_t>& row) {
  const char* const separators = " \t\r,";
  for (size_t start = line.find_first_not_of(separators); start != std::string::npos;) {
    const size_t end = std::min(line.find_first_of(separators, start), line.size());
    int64_t value = -1;
    const auto [stop, failure] = std::from_chars(line.data() + start, line.data() + end, value);
    if (failure != std::errc{} || stop != line.data() + end || value < 0 || value >= most_elements)
      throw UsageError(place + ":" + std::to_string(start + 1) + ": expected an element, 0 to " +
                           std::to_string(most_elements - 1),
                       kTableHint);
    row.push_back(value);
    start = line.find_first_not_of(separators, end);
  }
}

Table read_rows(const std::string& path) {
  std::ifstream file;
  if (std::error_code failure; std::filesystem::is_regular_file(path, failure)) file.open(path);
  Table table;
  int64_t number = 0;
  std::string line;
  while (file.is_open() && std::getline(file, line)) {
    const std::string place = path + ":" + std::to_string(++number);
    std::vector<int64_t> row;
    read_row(line.substr(0, line.find('#')), place, row);
    if (row.empty()) continue;
    if (!table.empty() && row.size() != table.front().size())
      throw UsageError(place + ": " + std::to_string(row.size()) + " numbers, and " +
                           std::to_string(table.front().size()) + " in the first row",
                       kTableHint);
    table.push_back(std::move(row));
    if (table.size() > table.front().size())
      throw UsageError(place + ": a row more than there are columns, " + std::to_string(table.front().size()),
                       kTableHint);
  }
  if (!file.eof())
    throw UsageError("cannot read the Cayley table \"" + path + "\"",
                     "a relative path starts at the folder the program was started in");
  return table;
}

}  // namespace

Cayley read_cayley(const std::string& path) {
  Cayley group{read_rows(path), {}, false};
  try {
    orrery::FiniteGroup{group.table};  // checks the axioms
  } catch (const orrery::Error& error) {
    throw UsageError(path + ": " + error.what(), error.hint());
  }
  return group;
}

}  // namespace finite_group
