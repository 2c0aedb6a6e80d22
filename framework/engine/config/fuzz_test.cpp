// Whatever the bytes, the config is read or refused with a UsageError: nothing else is thrown, nothing
// crashes.
#include <gtest/gtest.h>

#include <random>

#include "engine/config/condition.h"
#include "tests/support/config_helpers.h"

namespace orrery::config_test {

using namespace engine;
namespace {

class FuzzTest : public testing::Test {
 protected:
  static Document read(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return Document::from_toml(text, "x.toml", overrides);
  }

  size_t below(size_t bound) { return rng_() % bound; }

  std::string garbage(size_t length, const std::string& alphabet) {
    std::string text;
    for (size_t i = 0; i < length; ++i)
      text += alphabet.empty() ? char(below(256)) : alphabet[below(alphabet.size())];
    return text;
  }

  // A few bytes of `text` replaced, removed, doubled or swapped for pieces of grammar.
  std::string mutated(std::string text) {
    static const std::vector<std::string> pieces = {
        "[",  "]]", "{", "}",   "=",   "\"",  "'''",  ".",     ",",
        "\n", "#",  "-", "1e9", "nan", "\\u", "name", "probe", "9999999999999999999"};
    for (size_t i = 0, n = 1 + below(6); i < n && !text.empty(); ++i) {
      const size_t at = below(text.size());
      switch (below(4)) {
        case 0:
          text[at] = char(below(256));
          break;
        case 1:
          text.erase(at, 1 + below(8));
          break;
        case 2:
          text.insert(at, text.substr(below(text.size()), below(20)));
          break;
        default:
          text.insert(at, pieces[below(pieces.size())]);
      }
    }
    return text;
  }

  // Whether `run` got through; a UsageError with a message counts as an answer, anything else fails the test.
  template <class Run>
  static bool survives(Run&& run) {
    try {
      run();
      return true;
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()), "");
      return false;
    }
  }

  std::mt19937 rng_{20240229};
};

const std::string seed_text =
    "name = 'a'\n[task]\nname = \"sums\"\np = 59\nsplit = {rule = 'x', rows = [1, 2]}\n[train]\nlr = 1e-3\n"
    "stop_when = 'test/accuracy >= 0.9'\n[[probe]]\nname = 'spectrum'\nkeys = [1, 2]\nscales = [0.5, 1]\n"
    "[[expect]]\nmetric = 'm'\nwhen = '5 <= step < 90'\nof = 'first step >= 1 and < 2'\nbound = '> "
    "0.5'\nsource = 's'\n";

TEST_F(FuzzTest, RandomFiles) {
  const std::string grammar = "[]{}=.,\"'#\n\r\t \\ab1-+_e:";
  for (int i = 0; i < 300; ++i) {
    const std::string alphabet = i % 2 ? grammar : "";
    const std::string text = garbage(i < 10 ? 60000 : below(400), alphabet);
    survives([&] { resolve(read(text), parameters_of); });
  }
}

TEST_F(FuzzTest, DamagedConfigs) {
  int good = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string text = mutated(seed_text);
    good += survives([&] { resolve(read(text), parameters_of); });
  }
  // Both outcomes are reached, or the loop tests nothing.
  EXPECT_GT(good, 0);
  EXPECT_LT(good, 3000);
}

TEST_F(FuzzTest, DamagedJson) {
  const std::string json = to_json(resolve(read(seed_text), parameters_of));
  int good = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string text = mutated(json);
    good += survives([&] { resolve(Document::from_json(text, "run.json"), parameters_of); });
  }
  EXPECT_GT(good, 0);
  EXPECT_LT(good, 3000);
}

TEST_F(FuzzTest, DamagedArguments) {
  int good = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string assignment = mutated("probe.spectrum.keys=[1, 2]");
    const std::string probe = mutated("spectrum:keys=[1,2],rule=\"a\",every=5");
    const std::string condition = mutated("test/accuracy >= 0.9 and test/loss < 1e-3");
    // Whatever resolves can be written as JSON, because invalid UTF-8 is refused before.
    good += survives([&] { to_json(resolve(read(seed_text, {assignment}), parameters_of)); });
    survives([&] { parse_probe(probe, parameters_of); });
    survives([&] { Condition::parse(condition); });
  }
  EXPECT_GT(good, 0);
  EXPECT_LT(good, 3000);
}

}  // namespace
}  // namespace orrery::config_test
