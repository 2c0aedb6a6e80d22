#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/subspace.h>
#include <tests/support/hand_built.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>

#include "sdk/files/tensors.h"

namespace orrery::testing::subspace_test {
namespace {

using torch::Tensor;

// Sums of at most a hundred products of numbers of order one: a hundred roundings of 1e-16, and a margin.
constexpr double rounding = 1e-13;

Tensor noise(std::vector<int64_t> shape, uint64_t seed = 1) {
  return torch::randn(shape, make_generator(seed), torch::kFloat64);
}
double distance(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

// The text of an error of type E that `action` throws, with its hint; "" if it throws none.
template <class E>
std::string message(const std::function<void()>& action) {
  try {
    action();
  } catch (const E& error) {
    return std::string(error.what()) + "\n" + error.hint();
  }
  return "";
}
bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// x projected by the definition: <f, x> f / <f, f>, summed over functions [m][inputs] orthogonal to each
// other.
Tensor by_definition(const std::vector<std::vector<double>>& functions, const Tensor& x) {
  auto result = torch::zeros_like(x);
  for (const auto& f : functions)
    for (int64_t column = 0; column < x.size(1); ++column) {
      double product = 0, square = 0;
      for (int64_t r = 0; r < x.size(0); ++r) {
        product += f[r] * x[r][column].item<double>();
        square += f[r] * f[r];
      }
      for (int64_t r = 0; r < x.size(0); ++r) result[r][column] += product / square * f[r];
    }
  return result;
}

std::vector<double> over_pairs(int64_t n, const std::function<double(int64_t, int64_t)>& f) {
  std::vector<double> values;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) values.push_back(f(i, j));
  return values;
}

TEST(Subspace, FunctionsOfTheSumAreTheWavesOfTheSum) {
  for (const int64_t n : {6, 7}) {
    std::vector<std::vector<double>> waves;
    for (const int64_t k : {1, 3})
      for (const double phase : {0.0, M_PI / 2}) {
        if (2 * k == n && phase != 0) continue;  // its sine vanishes
        waves.push_back(
            over_pairs(n, [=](int64_t i, int64_t j) { return std::cos(angle(k, i + j, n) - phase); }));
      }
    const auto x = noise({n * n, 3});
    const auto subspace = functions_of_sum(wave_functions(n, {1, 3}));
    EXPECT_LT(distance(subspace.project(x), by_definition(waves, x)), rounding);
    EXPECT_EQ(subspace.dimension(), static_cast<int64_t>(waves.size()));
    EXPECT_EQ(subspace.n_inputs(), n * n);
  }
}

TEST(Subspace, AgreesWithProjectOnSum) {
  const auto x = noise({31 * 31, 8}) * 20;
  for (const std::vector<int64_t>& keys : {std::vector<int64_t>{}, {4}, {2, 5, 15}, all_frequencies(31)})
    EXPECT_LE(
        distance(functions_of_sum(wave_functions(31, keys)).project(x), testing::project_on_sum(x, keys)),
        1e-12);
}

TEST(Subspace, FunctionsOfOperandsAreThoseOfEachAlone) {
  const int64_t n = 5;
  std::vector<std::vector<double>> waves;
  for (const double phase : {0.0, M_PI / 2}) {
    waves.push_back(over_pairs(n, [=](int64_t i, int64_t) { return std::cos(angle(2, i, n) - phase); }));
    waves.push_back(over_pairs(n, [=](int64_t, int64_t j) { return std::cos(angle(2, j, n) - phase); }));
  }
  const auto subspace = functions_of_operands(wave_functions(n, {2}));
  const auto x = noise({n * n, 3});
  EXPECT_LT(distance(subspace.project(x), by_definition(waves, x)), rounding);
  EXPECT_EQ(subspace.dimension(), 4);
}

// The symmetric group on three points: elements are its permutations, x y is first y, then x.
struct S3 {
  std::vector<std::array<int64_t, 3>> elements;
  Tensor products;  // [36] int64, at 6 x + y
  S3() {
    std::array<int64_t, 3> permutation{0, 1, 2};
    do elements.push_back(permutation);
    while (std::next_permutation(permutation.begin(), permutation.end()));
    std::vector<int64_t> table;
    for (const auto& x : elements)
      for (const auto& y : elements) {
        const std::array<int64_t, 3> xy{x[y[0]], x[y[1]], x[y[2]]};
        table.push_back(std::find(elements.begin(), elements.end(), xy) - elements.begin());
      }
    products = torch::tensor(table, torch::kInt64);
  }
  // Entries of the permutation matrices less their mean span the standard representation's functions.
  Tensor standard() const {
    auto entries = torch::zeros({9, 6}, torch::kFloat64);
    for (int64_t g = 0; g < 6; ++g)
      for (int64_t point = 0; point < 3; ++point) entries[3 * point + elements[g][point]][g] = 1;
    return entries - 1.0 / 3;
  }
  Tensor sign() const {
    auto values = torch::ones({1, 6}, torch::kFloat64);
    for (int64_t g = 0; g < 6; ++g)
      for (int64_t a = 0; a < 3; ++a)
        for (int64_t b = 0; b < a; ++b)
          if (elements[g][b] > elements[g][a]) values[0][g] *= -1;
    return values;
  }
};

TEST(Subspace, ARepresentationOfAGroupIsOneOverTheProducts) {
  const S3 group;
  const OverInputs standard(orthonormal_rows(group.standard()), group.products);
  EXPECT_EQ(standard.dimension(), 4);  // the square of its degree
  const auto entry = group.standard()[4].index_select(0, group.products).unsqueeze(1);
  const auto sign = group.sign()[0].index_select(0, group.products).unsqueeze(1);
  EXPECT_LT(distance(standard.project(entry + 3 * sign + 2), entry), rounding);
  const auto both = standard.plus(OverInputs(orthonormal_rows(group.sign()), group.products));
  EXPECT_EQ(both.dimension(), 5);
  EXPECT_LT(distance(both.project(entry + 3 * sign + 2), entry + 3 * sign), rounding);
  EXPECT_THROW(standard.plus(standard), Error);
}

TEST(Subspace, KeepAndRemoveAddUpAndRepeatingChangesNothing) {
  const auto x = noise({49, 3, 8});
  const auto functions = noise({6, 49}, 2), centred = functions - functions.mean(1, true);
  const std::vector<Subspace> subspaces{
      functions_of_sum(wave_functions(7, {1, 2})), functions_of_operands(wave_functions(7, {3})),
      OverInputs(orthonormal_rows(centred)), OverFeatures(orthonormal_rows(noise({3, 8}, 3)))};
  for (const Subspace& subspace : subspaces)
    for (const Bias bias : {Bias::none, Bias::site}) {
      const SubspaceCut keep{subspace, Part::keep, bias}, remove{subspace, Part::remove, bias};
      const auto kept = cut(keep, x), removed = cut(remove, x);
      const auto twice = bias == Bias::site ? x.mean(0) : torch::zeros({3, 8}, torch::kFloat64);
      EXPECT_LT(distance(kept + removed, x + twice), rounding);
      EXPECT_LT(distance(cut(keep, kept), kept), rounding);
      EXPECT_LT(distance(cut(remove, removed), removed), rounding);
      EXPECT_GT(distance(kept, x), 0.1);
      EXPECT_GT(distance(removed, x), 0.1);
    }
}

// A projection is its own gradient: of sum of w P x with respect to x it is P w.
TEST(Subspace, GradientsPassThroughTheProjection) {
  const OverInputs waves = functions_of_sum(wave_functions(7, {1, 3}));
  const Tensor w = noise({49, 3}, 2);
  const auto gradient = [&](const std::function<Tensor(const Tensor&)>& f) {
    const Tensor x = noise({49, 3}).requires_grad_(true);
    return torch::autograd::grad({(w * f(x)).sum()}, {x})[0];
  };
  EXPECT_LT(distance(gradient([&](const Tensor& x) { return waves.project(x); }), waves.project(w)),
            rounding);
  const SubspaceCut without{.subspace = waves, .part = Part::remove};
  EXPECT_LT(distance(gradient([&](const Tensor& x) { return cut(without, x); }), cut(without, w)), rounding);
}

TEST(Subspace, NumbersInFloat32AreProjectedInFloat64) {
  const Tensor x = noise({49, 3}).to(torch::kFloat32);
  const OverInputs waves = functions_of_sum(wave_functions(7, {2}));
  const Tensor projected = waves.project(x);
  EXPECT_EQ(projected.scalar_type(), torch::kFloat64);
  EXPECT_LT(distance(projected, waves.project(x.to(torch::kFloat64))), rounding);
  const Tensor turned = x.t().contiguous().t();  // the same numbers, in another order of memory
  EXPECT_LT(distance(waves.project(turned), projected), rounding);
}

TEST(Subspace, OverFeaturesIsTheDotProductWithTheDirection) {
  const auto x = noise({4, 2, 3}), direction = torch::tensor({3.0, 0.0, 4.0}, torch::kFloat64);
  const auto removed = cut({OverFeatures(orthonormal_rows(direction)), Part::remove}, x);
  for (int64_t a = 0; a < 4; ++a)
    for (int64_t b = 0; b < 2; ++b) {
      double product = 0;
      for (int64_t c = 0; c < 3; ++c) product += (x[a][b][c] * direction[c]).item<double>() / 5;
      for (int64_t c = 0; c < 3; ++c)
        EXPECT_NEAR(removed[a][b][c].item<double>(),
                    x[a][b][c].item<double>() - product * direction[c].item<double>() / 5, rounding);
    }
}

TEST(Subspace, TheBiasIsTheMeanOverInputs) {
  const auto x = noise({25, 4}) + 3, mean = x.mean(0);
  const auto waves = functions_of_sum(wave_functions(5, {1}));
  EXPECT_LT(distance(cut({waves, Part::keep, Bias::none}, x).mean(0), torch::zeros_like(mean)), rounding);
  EXPECT_LT(distance(cut({waves, Part::keep, Bias::site}, x).mean(0), mean), rounding);
  EXPECT_LT(distance(cut({waves, Part::remove, Bias::none}, x).mean(0), mean), rounding);
  // Mean ablation of a direction leaves the mean, and no variance along it.
  const auto axis = torch::tensor({0.0, 1.0, 0.0, 0.0}, torch::kFloat64);
  const auto ablated = cut({OverFeatures(orthonormal_rows(axis)), Part::remove, Bias::site}, x);
  EXPECT_LT(distance(ablated.select(1, 1), mean[1].expand({25})), rounding);
  EXPECT_LT(distance(ablated.select(1, 2), x.select(1, 2)), rounding);
  const SubspaceCut with_constant{OverInputs(orthonormal_rows(torch::ones({25}))), Part::keep, Bias::site};
  EXPECT_TRUE(says(message<UsageError>([&] { cut(with_constant, x); }), "holds part of it"));
}

TEST(Subspace, OrthonormalRowsSpanWhatTheyAreGiven) {
  const auto x = noise({2, 5});
  const auto dependent = torch::cat({x, 2 * x.narrow(0, 0, 1) - x.narrow(0, 1, 1)});
  for (const Tensor& given : {x, dependent, dependent.to(torch::kFloat32)}) {
    const auto rows = orthonormal_rows(given);
    EXPECT_EQ(rows.sizes().vec(), (std::vector<int64_t>{2, 5}));
    EXPECT_EQ(rows.scalar_type(), torch::kFloat64);
    // In float32 the direction itself was rounded by 6e-8 of its length.
    const double bound = given.scalar_type() == torch::kFloat64 ? rounding : 1e-6;
    EXPECT_LT(distance(OverFeatures(rows).project(x), x), bound);
  }
  EXPECT_THROW(orthonormal_rows(torch::zeros({2, 5})), Error);
  EXPECT_THROW(orthonormal_rows(torch::full({1, 2}, NAN)), Error);
  EXPECT_THROW(orthonormal_rows(torch::ones({1, 2, 3})), Error);
  EXPECT_THROW(orthonormal_rows(Tensor()), Error);
}

TEST(Subspace, RefusesWhatIsNone) {
  EXPECT_TRUE(says(message<Error>([] { OverFeatures(torch::ones({1, 3})); }), "not orthonormal"));
  EXPECT_TRUE(says(message<Error>([] { OverFeatures(torch::ones({3})); }), "found shape [3]"));
  EXPECT_THROW(OverFeatures(torch::full({1, 2}, NAN)), Error);
  const auto constant = torch::full({1, 4}, 0.5, torch::kFloat64);
  EXPECT_TRUE(says(message<Error>([&] { functions_of_operands(constant); }), "the constant"));
  EXPECT_TRUE(says(message<Error>([&] {
                     OverInputs(constant, torch::tensor({0, 1, 2, 3, 0, 1, 2, 2}, torch::kInt64));
                   }),
                   "element 2 occurs for 3 of 8"));
  EXPECT_TRUE(says(message<Error>([&] {
                     OverInputs(constant, torch::tensor({0, 1, 2, 4}, torch::kInt64));
                   }),
                   "input 3 has the element 4"));
  EXPECT_THROW(functions_of_sum(constant).plus(functions_of_sum(torch::zeros({0, 3}))), Error);
  for (const std::vector<int64_t>& wrong : {std::vector<int64_t>{0}, {4}, {2, 2}})
    EXPECT_THROW(wave_functions(7, wrong), Error);
}

TEST(Subspace, NamesTheShapesThatDoNotFit) {
  const auto over_inputs = functions_of_sum(wave_functions(3, {1}));
  const OverFeatures over_features(orthonormal_rows(torch::ones({4})));
  const auto x = torch::zeros({8, 3, 5});
  EXPECT_TRUE(says(message<UsageError>([&] { over_inputs.project(x); }), "[9, ...], found [8, 3, 5]"));
  EXPECT_TRUE(says(message<UsageError>([&] { over_features.project(x); }), "[..., 4], found [8, 3, 5]"));
}

TEST(ReadTensor, FindsTheTensorOfTheFile) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("orrery_subspace_" + std::to_string(::getpid()) + "_files");
  std::filesystem::create_directories(folder);
  const auto one = (folder / "one.safetensors").string(), two = (folder / "two.safetensors").string();
  const auto text = (folder / "text.txt").string();
  write_tensors(one, {{"direction", torch::ones({3})}});
  write_tensors(two, {{"direction", torch::ones({3})}, {"plane", torch::eye(2)}});
  std::ofstream(text) << "[1, 2, 3]";
  EXPECT_TRUE(torch::equal(read_tensor(one), torch::ones({3})));
  EXPECT_TRUE(torch::equal(read_tensor(two, "plane"), torch::eye(2)));
  const auto misspelt = message<UsageError>([&] { read_tensor(two, "plan"); });
  EXPECT_TRUE(says(misspelt, two + " has no tensor \"plan\" (did you mean \"plane\"?)")) << misspelt;
  EXPECT_TRUE(says(misspelt, "the file has: direction, plane")) << misspelt;
  EXPECT_TRUE(says(message<UsageError>([&] { read_tensor(two); }), "holds 2 tensors, and none is named"));
  EXPECT_TRUE(says(message<UsageError>([&] { read_tensor(one, "plane"); }), "the file has: direction"));
  EXPECT_TRUE(says(message<UsageError>([&] { read_tensor((folder / "none").string()); }), "no such file"));
  EXPECT_TRUE(says(message<UsageError>([&] { read_tensor(text); }), text));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace orrery::testing::subspace_test
