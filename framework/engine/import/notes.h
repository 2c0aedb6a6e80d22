// Private to the import room: what an import says of its networks, each thing once for all of them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace orrery::engine {

/// "rounded to float32", and the names of the tensors that it is said of; none: it is said of the network.
struct Note {
  std::string what;
  std::vector<std::string> names = {};
};

class Notes {
 public:
  void add(const std::string& what) { said_.push_back({what, {}}); }
  /// Those of one network. The same about several networks is one note, of all names that it was said of.
  void add(const std::vector<Note>& notes_of_network);

  /// In the order in which they were first said: "rounded to float32: a, b (in 2 of the 5 networks)".
  std::vector<std::string> texts(int64_t n_networks) const;

 private:
  struct Said {
    std::string what;
    std::vector<std::pair<std::string, int64_t>> names;  // with the number of networks
  };
  std::vector<Said> said_;
};

}  // namespace orrery::engine
