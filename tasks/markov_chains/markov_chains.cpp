// In-context learning of Markov chains (Edelman et al. 2024, "The Evolution of Statistical Induction Heads",
// arXiv 2402.11004). Each sequence comes from a chain of its own: the rows of its transition matrix are drawn
// from a Dirichlet distribution, its first token from the stationary distribution. At every position the next
// token is to be predicted, which takes counting in the context:
//   0 1 0 0 1 0   with two tokens: after 0 came 1, 0, 1, so with a flat prior 1 follows this 0 with
//   probability (2 + 1) / (3 + 2) = 0.6 (bigram); of the six tokens so far two are 1: (2 + 1) / (6 + 2) =
//   0.375 (unigram).
// How far the network is from either, and from the chain itself, are the metrics of the task.
#include <ATen/ops/_sample_dirichlet.h>
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace {

using torch::Tensor;

struct Params : orrery::SampledParams {
  int64_t vocabulary = 3;
  int64_t length = 100;
  double concentration = 1;
  int64_t n_chains = 0;
  int64_t chains_seed = 0;

  static void fields(orrery::Fields<Params>& f) {
    f.add("vocabulary", &Params::vocabulary, "states of a chain: the tokens").between(2, 256);
    f.add("length", &Params::length, "tokens in a sequence").between(1, 4096);
    f.add("concentration", &Params::concentration,
          "of the symmetric Dirichlet distribution of each row; 1: flat, less: a few transitions dominate")
        .between(0.05, 100);
    f.add("n_chains", &Params::n_chains, "number of chains trained on; 0: a fresh one for each sequence")
        .between(0, 1e6);
    f.add("chains_seed", &Params::chains_seed, "seed of the chains trained on").at_least(0);
    orrery::SampledParams::fields(f, "sequences");
  }
};

enum Group : int64_t { kSeen = 0, kFresh = 1 };

// The distribution that the transition matrix `P` [n][n] leaves as it is. By elimination without subtraction
// (Grassmann, Taksar & Heyman 1985), which keeps every digit.
std::vector<double> stationary(std::vector<double> P, int64_t n) {
  const auto at = [&](int64_t i, int64_t j) -> double& { return P[i * n + j]; };
  for (int64_t last = n - 1; last > 0; --last) {
    double leaves = 0;
    for (int64_t j = 0; j < last; ++j) leaves += at(last, j);
    for (int64_t i = 0; i < last; ++i) {
      at(i, last) /= leaves;
      for (int64_t j = 0; j < last; ++j) at(i, j) += at(i, last) * at(last, j);
    }
  }
  std::vector<double> share(n, 0.0);
  double sum = share[0] = 1;
  for (int64_t j = 1; j < n; ++j) {
    for (int64_t i = 0; i < j; ++i) share[j] += share[i] * at(i, j);
    sum += share[j];
  }
  for (double& x : share) x /= sum;
  return share;
}

// The first of n states whose probabilities add up to more than `toss`.
int64_t choose(const double* probabilities, int64_t n, double toss) {
  double sum = 0;
  for (int64_t state = 0; state < n - 1; ++state)
    if ((sum += probabilities[state]) > toss) return state;
  return n - 1;
}

class MarkovChains final : public orrery::Task {
 public:
  explicit MarkovChains(Params params) : params_(std::move(params)) {
    params_.check_sampled(
        std::pow(static_cast<double>(params_.vocabulary), static_cast<double>(params_.length)), "sequences");
    if (params_.n_chains > 0)
      trained_ =
          chain_numbers(params_.n_chains, orrery::make_generator(static_cast<uint64_t>(params_.chains_seed)));
  }

  orrery::TaskSpec spec() const override {
    std::vector<int64_t> all(params_.length);
    std::iota(all.begin(), all.end(), 0);
    return {.d_vocab = params_.vocabulary,
            .d_vocab_out = params_.vocabulary,
            .n_ctx = params_.length,
            .read_out = all,
            .groups = fixed() ? std::vector<std::string>{"seen_chains", "fresh_chains"}
                              : std::vector<std::string>{},
            .endless = params_.endless(),
            .metrics = metric_names(),
            .auxiliary = {"chain"}};
  }

  // The test set comes first, so that it is the same for every n_train. With chains trained on, the first
  // half of it is from fresh chains, the second half has new sequences of chains that are trained on.
  orrery::Split split(torch::Generator rng) const override {
    orrery::Split split;
    const int64_t n_seen = fixed() ? params_.n_test / 2 : 0;
    const auto fresh = chain_numbers(params_.n_test - n_seen, rng);
    split.test = sequences(fixed() ? torch::cat({fresh, seen_chains(n_seen, rng)}) : fresh, kFresh, rng);
    if (fixed()) split.test.groups.narrow(0, params_.n_test - n_seen, n_seen).fill_(int64_t{kSeen});
    split.train = sample(params_.endless() ? params_.n_test : params_.n_train, orrery::final_step, rng);
    return split;
  }

  // Drawn from `rng` in this order: the chains, a toss for every token.
  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    const auto chains = fixed() ? seen_chains(batch_size, rng) : chain_numbers(batch_size, rng);
    return sequences(chains, kSeen, rng);
  }

  std::vector<double> metrics(const Tensor& logits, const orrery::Batch& examples) const override {
    const auto distances = divergences(logits.to(torch::kFloat64).log_softmax(-1), examples);
    std::vector<double> means;
    for (const Tensor& distance : distances) {  // [batch]
      if (!fixed()) {
        means.push_back(distance.mean().item<double>());
        continue;
      }
      for (const int64_t group : {int64_t{kSeen}, int64_t{kFresh}})  // the mean of none is NaN
        means.push_back(distance.masked_select(examples.groups.select(1, 0) == group).mean().item<double>());
    }
    return means;
  }

 private:
  bool fixed() const { return params_.n_chains > 0; }

  std::vector<std::string> metric_names() const {
    std::vector<std::string> names;
    for (const std::string name : {"kl_uniform", "kl_unigram", "kl_bigram", "kl_chain"}) {
      if (!fixed()) names.push_back(name);
      if (fixed())
        for (const char* group : {"/seen_chains", "/fresh_chains"}) names.push_back(name + group);
    }
    return names;
  }

  // A chain is known by a number, from which its matrix is drawn: an example needs to carry no more.
  static Tensor chain_numbers(int64_t count, torch::Generator rng) {
    return torch::randint(int64_t{1} << 32, {count}, rng, torch::kInt64);
  }
  Tensor seen_chains(int64_t count, torch::Generator rng) const {
    return trained_.index_select(0, torch::randint(params_.n_chains, {count}, rng, torch::kInt64));
  }

  // [vocabulary, vocabulary] float64: row i has the probabilities of what follows i.
  Tensor transitions(int64_t chain) const {
    const auto prior =
        torch::full({params_.vocabulary, params_.vocabulary}, params_.concentration, torch::kFloat64);
    return at::_sample_dirichlet(prior, orrery::make_generator(static_cast<uint64_t>(chain)));
  }

  orrery::Batch sequences(const Tensor& chains, Group group, torch::Generator rng) const {
    const int64_t size = chains.numel(), length = params_.length, n = params_.vocabulary;
    const auto toss = torch::rand({size, length + 1}, rng, torch::kFloat64);
    const auto all = torch::empty({size, length + 1}, torch::kInt64);
    for (int64_t row = 0; row < size; ++row) {
      const auto matrix = transitions(chains[row].item<int64_t>());
      const double* P = matrix.data_ptr<double>();
      const double* tosses = toss.data_ptr<double>() + row * (length + 1);
      int64_t* token = all.data_ptr<int64_t>() + row * (length + 1);
      token[0] = choose(stationary({P, P + n * n}, n).data(), n, tosses[0]);
      for (int64_t i = 1; i <= length; ++i) token[i] = choose(P + token[i - 1] * n, n, tosses[i]);
    }
    orrery::Batch batch{.tokens = all.narrow(1, 0, length).contiguous(),
                        .labels = all.narrow(1, 1, length).contiguous(),
                        .auxiliary = {{"chain", chains}}};
    if (fixed()) batch.groups = torch::full({size, length}, int64_t{group}, torch::kInt64);
    return batch;
  }

  // KL(reference || network) in nats, the mean over the positions of each sequence: [batch] for each of
  // uniform, unigram, bigram, chain. `log_q` [batch, length, vocabulary].
  std::vector<Tensor> divergences(const Tensor& log_q, const orrery::Batch& examples) const {
    const auto tokens = examples.tokens;
    const auto here =
        torch::one_hot(tokens, params_.vocabulary).to(torch::kFloat64);  // [batch, length, vocabulary]
    const auto so_far = here.cumsum(1);
    const auto matrices = chain_matrices(examples.auxiliary.at("chain"));
    const auto rows = tokens.unsqueeze(2).expand({tokens.size(0), tokens.size(1), params_.vocabulary});
    const std::vector<Tensor> references = {torch::ones_like(here), so_far + params_.concentration,
                                            followers(tokens) + params_.concentration,
                                            matrices.gather(1, rows)};
    std::vector<Tensor> all;
    for (const Tensor& counts : references) {
      const auto p = counts / counts.sum(2, /*keepdim=*/true);
      all.push_back((torch::xlogy(p, p) - p * log_q).sum(2).mean(1));
    }
    return all;
  }

  // [batch, vocabulary, vocabulary]
  Tensor chain_matrices(const Tensor& chains) const {
    std::vector<Tensor> matrices;
    for (int64_t row = 0; row < chains.numel(); ++row)
      matrices.push_back(transitions(chains[row].item<int64_t>()));
    return torch::stack(matrices);
  }

  // [batch, length, vocabulary] float64: how often each token followed an earlier occurrence of this one.
  Tensor followers(const Tensor& tokens) const {
    const int64_t size = tokens.size(0), length = tokens.size(1), n = params_.vocabulary;
    const auto row_by_row = tokens.contiguous();
    const auto counts = torch::zeros({size, length, n}, torch::kFloat64);
    for (int64_t row = 0; row < size; ++row) {
      const int64_t* token = row_by_row.data_ptr<int64_t>() + row * length;
      double* count = counts.data_ptr<double>() + row * length * n;
      std::vector<double> bigrams(n * n, 0.0);
      for (int64_t i = 0; i < length; ++i, count += n) {
        if (i > 0) ++bigrams[token[i - 1] * n + token[i]];
        std::copy_n(bigrams.begin() + token[i] * n, n, count);
      }
    }
    return counts;
  }

  Params params_;
  Tensor trained_;  // [n_chains] int64: the numbers of the chains trained on
};

}  // namespace

ORRERY_TASK(MarkovChains, Params, "markov_chains", "1.0.0",
            "Sequences of Markov chains, each to be learned from its own context.")
