// A config as a tree of values that know where they were written (TOML, a run's JSON or the command line),
// and bind_fields(), the one function that checks a table against the keys it may have.
#pragma once

#include <orrery/fields.h>

#include <filesystem>
#include <string>
#include <variant>
#include <vector>

namespace orrery::engine {

/// One table: keys in the order they were written, each with a value, a table or a list of tables.
///
/// Places read "configs/x.toml:14:1" (line and column count from 1), "--set train.steps=abc", or, for JSON,
/// the name of the file alone.
class Table {
 public:
  enum class Kind { absent, value, table, tables };
  using Content = std::variant<Value, Table, std::vector<Table>>;

  /// `path` is the table's name for `--set`: "train", "task.split"; "" for the whole config.
  explicit Table(std::string place = "", std::string path = "");
  Table(const Table&);
  Table(Table&&) noexcept;
  Table& operator=(const Table&);
  Table& operator=(Table&&) noexcept;
  ~Table();

  std::vector<std::string> keys() const;
  Kind kind(const std::string& key) const;
  bool has(const std::string& key) const { return kind(key) != Kind::absent; }

  /// Where the table begins.
  const std::string& place() const { return place_; }
  /// Where `key` was written, or where the table begins if it is absent.
  const std::string& place(const std::string& key) const;
  /// Where the value of `key` was written, in a table of keys to set; elsewhere place(key).
  const std::string& value_place(const std::string& key) const;

  const std::string& path() const { return path_; }
  /// "train.steps": the name of this table's `key` for `--set`.
  std::string path(const std::string& key) const;

  /// Throws std::out_of_range if `key` is absent.
  const Content& content(const std::string& key) const;
  /// A copy of the table `key`; an empty one if it is absent. Throws UsageError if it is not a table.
  Table table(const std::string& key) const;
  /// The tables of the list `key`; none if it is absent. Throws UsageError if it is not a list of tables.
  std::vector<Table> tables(const std::string& key) const;

  /// Adds `key` or replaces its content.
  void set(const std::string& key, std::string place, Content content, std::string value_place = "");

 private:
  struct Entry;
  const Entry* find(const std::string& key) const;

  std::string place_, path_;
  std::vector<Entry> entries_;
};

/// `3 (an integer)`, `a table`, `a list of tables`: for messages.
std::string describe(const Table::Content& content);

/// The values of `fields` in `table`, with defaults filled in. A field named "split.rule" is the key `rule`
/// of the table `split` inside `table`. Every key must be a field or one of `also_known`, which are ignored.
///
/// Throws UsageError at the first key, in the order written, that is unknown (`owner`, such as [train] or
/// probe "fourier_basis", names the table in that message) or whose value does not conform. Throws Error if a
/// default that it uses is infinite or NaN, because a run could not record it.
Values bind_fields(const Table& table, const std::vector<Field>& fields, const std::string& owner,
                   const std::vector<std::string>& also_known = {});

/// The text under `key`. Throws UsageError if it is absent, saying what it `means`, or if it is not text.
std::string required_text(const Table& table, const std::string& key, const std::string& owner,
                          const std::string& means, const std::string& hint = "");

/// A whole config and what it was read from.
///
/// An override is "key.path=VALUE" as given to `--set`. VALUE is a TOML value; any other bare word counts as
/// text. "probe.NAME.key=VALUE" addresses the [[probe]] entry with the label NAME, or else the only one with
/// the name NAME.
class Document {
 public:
  /// Reads TOML. Throws UsageError if the file cannot be read, is larger than 64 KiB or is not a config.
  static Document load(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});
  /// Reads TOML text. `source` names it in messages.
  static Document from_toml(const std::string& text, const std::string& source,
                            const std::vector<std::string>& overrides = {});
  /// Reads a JSON object written by to_json(Settings).
  static Document from_json(const std::string& text, const std::string& source,
                            const std::vector<std::string>& overrides = {});

  const Table& root() const { return root_; }
  /// The file as the user named it.
  const std::string& source() const { return source_; }

 private:
  Document(Table root, std::string source, const std::vector<std::string>& overrides);
  Table root_;
  std::string source_;
};

}  // namespace orrery::engine
