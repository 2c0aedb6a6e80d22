#include "sdk/analysis/wave_energies.h"

#include <ATen/Functions.h>
#include <orrery/fourier.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

namespace orrery {
namespace {

// Functions at a time: at p = 113 these and their transforms stay in the second-level cache.
constexpr int64_t lanes = 8;
// They are read so many at a time: fewer would read every page of x too often.
constexpr int64_t gathered = 8 * lanes;

template <class T>
struct Vectors {
  typedef T V __attribute__((vector_size(lanes * sizeof(T)), may_alias));
  typedef T Unaligned __attribute__((vector_size(lanes * sizeof(T)), may_alias, aligned(sizeof(T))));

  static const Unaligned& at(const T* x) { return *reinterpret_cast<const Unaligned*>(x); }
  static Unaligned& at(T* x) { return *reinterpret_cast<Unaligned*>(x); }
};

// What rounding leaves of a constant, once it is centred, as a share of its sum of squares.
double rounding_energy(torch::Dtype dtype) {
  const double rounding = 16 * (dtype == torch::kFloat64 ? std::numeric_limits<double>::epsilon()
                                                         : std::numeric_limits<float>::epsilon());
  return rounding * rounding;
}

// The transform along one dimension, in its own order: const, cos 1, cos 2, ..., then sin 1, sin 2, ...
// Cosines see only the sums x[j] + x[n - j], and sines only the differences.
template <class T>
class HalvedTransform {
 public:
  explicit HalvedTransform(int64_t n, int64_t width)
      : n_(n), n_cos_(n / 2 + 1), n_sin_((n - 1) / 2), width_(width) {
    const auto basis = fourier_basis(n).to(c10::CppTypeToScalarType<T>::value);
    cos_ = torch::cat({basis.narrow(0, 0, 1), basis.slice(0, 1, n, 2)}).narrow(1, 0, n_cos_).contiguous();
    sin_ = basis.slice(0, 2, n, 2).narrow(1, 1, n_sin_).contiguous();
    sums_ = torch::empty({n_cos_, width}, basis.options());
    differences_ = torch::empty({n_sin_, width}, basis.options());
  }

  // Where basis row `row` of fourier_basis is in this order.
  int64_t place(int64_t row) const { return row == 0 || row % 2 == 1 ? (row + 1) / 2 : n_cos_ + row / 2 - 1; }

  // to: [n, width]. at(j): x[j], `lanes` numbers at each of width / lanes places, which are `stride` numbers
  // apart.
  template <class At>
  void operator()(const At& at, int64_t stride, T* to) {
    for (int64_t j = 0; j < n_cos_; ++j) {
      T* const sum = sums_.template data_ptr<T>() + j * width_;
      const bool alone = j == 0 || 2 * j == n_;
      if (alone)
        copy(at(j), stride, sum);
      else
        fold(at(j), at(n_ - j), stride, sum, differences_.template data_ptr<T>() + (j - 1) * width_);
    }
    multiply(cos_, sums_, to);
    if (n_sin_ > 0) multiply(sin_, differences_, to + n_cos_ * width_);
  }

 private:
  using Vs = Vectors<T>;

  void copy(const T* x, int64_t stride, T* to) const {
    for (int64_t i = 0; i < width_; i += lanes, x += stride) Vs::at(to + i) = Vs::at(x);
  }

  void fold(const T* x, const T* mirrored, int64_t stride, T* sum, T* difference) const {
    for (int64_t i = 0; i < width_; i += lanes, x += stride, mirrored += stride) {
      const auto here = Vs::at(x), there = Vs::at(mirrored);
      Vs::at(sum + i) = here + there;
      Vs::at(difference + i) = here - there;
    }
  }

  static void multiply(const torch::Tensor& matrix, const torch::Tensor& x, T* to) {
    auto product = torch::from_blob(to, {matrix.size(0), x.size(1)}, x.options());
    at::mm_out(product, matrix, x);
  }

  int64_t n_, n_cos_, n_sin_, width_;
  torch::Tensor cos_, sin_, sums_, differences_;
};

template <class T>
class Energies {
 public:
  explicit Energies(const torch::Tensor& x)
      : n_(x.size(0)),
        m_(x.size(2)),
        x_(x.data_ptr<T>()),
        transform_(n_, n_ * lanes),
        gathered_(n_ * n_ * gathered),
        values_(n_ * n_ * lanes),
        transformed_(n_ * n_ * lanes),
        rounding_(rounding_energy(x.scalar_type())) {
    const auto in_double = [](at::IntArrayRef sizes) { return torch::zeros(sizes, torch::kFloat64); };
    sums_ = {in_double({n_, n_}), in_double({n_, n_}), in_double({n_ / 2, m_}), in_double({m_}),
             torch::zeros({m_}, torch::kBool)};
  }

  WaveEnergies operator()() {
    for (int64_t first = 0; first < m_; first += gathered) {
      gather(first);
      for (int64_t here = first; here < m_ && here < first + gathered; here += lanes) {
        centre(gathered_.data() + (here - first) * n_ * n_);
        transform();
        square();
        add(here);
      }
    }
    return in_order();
  }

 private:
  using Vs = Vectors<T>;
  using V = typename Vs::V;

  // gathered_ [functions / lanes, pairs, lanes]: functions first, first + 1, ... of x [pairs, functions],
  // then zeros.
  void gather(int64_t first) {
    const int64_t pairs = n_ * n_, count = std::min(gathered, m_ - first), whole = count / lanes,
                  rest = count % lanes;
    for (int64_t pair = 0; pair < pairs; ++pair) {
      const T* const from = x_ + pair * m_ + first;
      T* to = gathered_.data() + pair * lanes;
      for (int64_t i = 0; i < count; i += 64 / sizeof(T)) __builtin_prefetch(from + 8 * m_ + i);
      for (int64_t i = 0; i < whole; ++i, to += pairs * lanes)
        std::memcpy(to, from + i * lanes, lanes * sizeof(T));
      if (rest == 0) continue;
      std::fill(to, to + lanes, T{});
      std::memcpy(to, from + whole * lanes, rest * sizeof(T));
    }
  }

  // values_: x [pairs, lanes] about its means. energy_: the sums of squares of x as it is.
  void centre(const T* x) {
    double sum[lanes] = {};
    std::fill(std::begin(energy_), std::end(energy_), 0.0);
    for (int64_t a = 0; a < n_; ++a) {
      V of_row = {}, squares = {};
      for (int64_t b = 0; b < n_; ++b) {
        const V here = Vs::at(x + (a * n_ + b) * lanes);
        of_row += here;
        squares += here * here;
      }
      for (int64_t l = 0; l < lanes; ++l) sum[l] += of_row[l];
      for (int64_t l = 0; l < lanes; ++l) energy_[l] += squares[l];
    }
    alignas(64) T mean[lanes];
    for (int64_t l = 0; l < lanes; ++l) mean[l] = static_cast<T>(sum[l] / static_cast<double>(n_ * n_));
    const V means = Vs::at(mean);
    for (int64_t i = 0; i < n_ * n_ * lanes; i += lanes) Vs::at(values_.data() + i) = Vs::at(x + i) - means;
  }

  void transform() {
    T* const values = values_.data();
    T* const along_first = transformed_.data();
    transform_([&](int64_t a) { return values + a * n_ * lanes; }, lanes, along_first);
    // Of [u, b]: where b is summed over, u runs along a row.
    transform_([&](int64_t b) { return along_first + b * lanes; }, n_ * lanes, values);
  }

  // values_, components [v, u], become their squares, and total_ their sums.
  void square() {
    Vs::at(values_.data()) = V{};  // const x const
    std::fill(std::begin(total_), std::end(total_), 0.0);
    for (int64_t v = 0; v < n_; ++v) {
      V sum = {};
      T* const row = values_.data() + v * n_ * lanes;
      for (int64_t u = 0; u < n_; ++u) {
        const V here = Vs::at(row + u * lanes), squared = here * here;
        Vs::at(row + u * lanes) = squared;
        sum += squared;
      }
      for (int64_t l = 0; l < lanes; ++l) total_[l] += sum[l];
    }
  }

  void add(int64_t first) {
    const int64_t count = std::min(lanes, m_ - first);
    bool varies[lanes] = {}, all_vary = true;
    for (int64_t l = 0; l < count; ++l) {
      varies[l] = total_[l] > energy_[l] * rounding_;
      all_vary = all_vary && varies[l];
      sums_.total.template data_ptr<double>()[first + l] = total_[l];
      sums_.varies.template data_ptr<bool>()[first + l] = varies[l];
    }
    double* const components = sums_.components.template data_ptr<double>();
    double* const varying = sums_.varying.template data_ptr<double>();
    for (int64_t cell = 0; cell < n_ * n_; ++cell) {
      const T* const here = values_.data() + cell * lanes;
      const T sum = ((here[0] + here[4]) + (here[1] + here[5])) + ((here[2] + here[6]) + (here[3] + here[7]));
      components[cell] += sum;
      if (all_vary) {
        varying[cell] += sum;
      } else {
        for (int64_t l = 0; l < count; ++l)
          if (varies[l]) varying[cell] += here[l];
      }
    }
    for (int64_t k = 1; k <= n_ / 2; ++k) add_own(k, first);
  }

  void add_own(int64_t k, int64_t first) {
    const int64_t rows[] = {0, transform_.place(2 * k - 1), 2 * k < n_ ? transform_.place(2 * k) : -1};
    V own = {};
    for (const int64_t v : rows)
      for (const int64_t u : rows) {
        if (u >= 0 && v >= 0) own += Vs::at(values_.data() + (v * n_ + u) * lanes);
      }
    double* const to = sums_.own.template data_ptr<double>() + (k - 1) * m_ + first;
    for (int64_t l = 0; l < lanes && first + l < m_; ++l) to[l] = own[l];
  }

  // From [v, u] in the order of the transform to [u, v] in that of fourier_2d.
  WaveEnergies in_order() {
    std::vector<int64_t> places;
    for (int64_t row = 0; row < n_; ++row) places.push_back(transform_.place(row));
    const auto order = torch::tensor(places, torch::kInt64);
    for (torch::Tensor* sums : {&sums_.components, &sums_.varying})
      *sums = sums->index_select(0, order).index_select(1, order).t().contiguous();
    return sums_;
  }

  int64_t n_, m_;
  const T* x_;
  HalvedTransform<T> transform_;
  std::vector<T> gathered_;              // [gathered / lanes, n, n, lanes]
  std::vector<T> values_, transformed_;  // [n, n, lanes]
  double rounding_, energy_[lanes], total_[lanes];
  WaveEnergies sums_;
};

}  // namespace

WaveEnergies wave_energies(const torch::Tensor& x) {
  const auto values = x.contiguous();
  return x.scalar_type() == torch::kFloat64 ? Energies<double>(values)() : Energies<float>(values)();
}

WaveEnergies plain_wave_energies(const torch::Tensor& x) {
  const int64_t n = x.size(0), half = n / 2;
  // Centred first: a large mean would leak into the other components by rounding.
  const auto components = fourier_2d(x - x.mean(at::IntArrayRef{0, 1}, true)).square_().to(torch::kFloat64);
  components[0][0].zero_();
  const auto total = components.sum(at::IntArrayRef{0, 1});
  const auto energy = x.square().sum(at::IntArrayRef{0, 1}).to(torch::kFloat64);
  const auto varies = total > energy * rounding_energy(x.scalar_type());
  std::vector<torch::Tensor> own;
  for (int64_t k = 1; k <= half; ++k) {
    std::vector<int64_t> rows{0, 2 * k - 1};
    if (2 * k < n) rows.push_back(2 * k);
    const auto of_k = torch::tensor(rows, torch::kInt64).to(x.device());
    own.push_back(components.index_select(0, of_k).index_select(1, of_k).sum(at::IntArrayRef{0, 1}));
  }
  const auto varying = torch::where(varies, components, torch::zeros_like(components)).sum(2);
  return {components.sum(2), varying, torch::stack(own), total, varies};
}

}  // namespace orrery
