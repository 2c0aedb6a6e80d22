#include "engine/report/page.h"

#include <gtest/gtest.h>
#include <orrery/error.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "engine/report/base64.h"
#include "engine/report/page_files.h"

namespace orrery::engine {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The vectors of RFC 4648, section 10.
TEST(Base64, IsThatOfTheStandard) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : vectors) {
    EXPECT_EQ(to_base64(bytes_of(plain)), coded);
    EXPECT_EQ(text_of(from_base64(coded)), plain);
  }
  std::vector<std::byte> all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<std::byte>(255 - i));
  EXPECT_EQ(from_base64(to_base64(all)), all);
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* text : {"Zg", "Zg=", "Z!==", "Zg==Zg==", "===="})
    EXPECT_THROW(from_base64(text), Error) << text;
}

TEST(Numbers, StoresEachArrayOnceAndAligned) {
  Numbers numbers;
  const std::vector<double> values = {1.5, -2, std::numeric_limits<double>::quiet_NaN()};
  const std::vector<int64_t> steps = {0, 100, 1LL << 40};
  const std::string first = numbers.add_float32(values);
  EXPECT_EQ(first, "f32:0:3");
  EXPECT_EQ(numbers.add_integers(steps), "f64:16:3");
  EXPECT_EQ(numbers.add_float32(values), first);
  EXPECT_EQ(numbers.bytes().size(), 16u + 24u);
  double stored[3];
  std::memcpy(stored, numbers.bytes().data() + 16, sizeof stored);
  EXPECT_EQ(stored[2], std::ldexp(1.0, 40));
  float narrow[3];
  std::memcpy(narrow, numbers.bytes().data(), sizeof narrow);
  EXPECT_EQ(narrow[0], 1.5f);
  EXPECT_TRUE(std::isnan(narrow[2]));
  // The same bytes as another type are another array.
  EXPECT_EQ(numbers.add("i8", numbers.bytes().empty() ? std::span<const std::byte>{} : bytes_of("ab")),
            "i8:40:2");
  EXPECT_EQ(numbers.add_float64(std::vector<double>{1}), "f64:48:1");
}

bool has_plotly() {
  for (const auto& [name, content] : page_files())
    if (name == "plotly.js") return !content.empty();
  return false;
}

TEST(Page, HoldsWhatItIsMadeOfAndNothingThatEscapes) {
  if (!has_plotly()) {
    EXPECT_THROW(html_page("t", "report", "{}", {}), Error);
    GTEST_SKIP() << "this build has no plotly.js";
  }
  const std::string html =
      html_page("a < b & \"c\"", "report", R"({"x": "</script><script>alert(1)</script>"})", {});
  EXPECT_NE(html.find("<title>a &lt; b &amp; &quot;c&quot;</title>"), std::string::npos);
  EXPECT_EQ(html.find("<script>alert(1)"), std::string::npos);
  EXPECT_NE(html.find("\\u003c/script>"), std::string::npos);
  EXPECT_NE(html.find("Copyright 2012-2026, Plotly, Inc."), std::string::npos)
      << "its license asks for its notice";
  // Only what script and style elements need: nothing is fetched.
  EXPECT_EQ(html.find("<script src"), std::string::npos);
  EXPECT_EQ(html.find("<link rel=\"stylesheet\""), std::string::npos);
  EXPECT_NE(html.find("default-src 'none'"), std::string::npos);
}

TEST(Page, NoEmbeddedFileEndsItsOwnElement) {
  for (const auto& [name, content] : page_files()) {
    EXPECT_EQ(content.find("</script"), std::string_view::npos) << name;
    EXPECT_EQ(content.find("</style"), std::string_view::npos) << name;
    EXPECT_EQ(content.find("<!--"), std::string_view::npos) << name;
  }
}

}  // namespace
}  // namespace orrery::engine
