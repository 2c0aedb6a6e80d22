// The multilayer perceptron as a class, for make_mlp.
#pragma once

#include <orrery/mlp.h>

#include <array>

namespace orrery {

// The unit circle: row i of [n_rows, 2] float64 is (cos, sin)(2 pi i / n) for i < n, and 0 after that.
torch::Tensor unit_circle(int64_t n, int64_t n_rows);

class Mlp final : public Model {
 public:
  Mlp(const MlpConfig& config, const TaskSpec& spec, torch::Generator rng);
  torch::Tensor forward(const torch::Tensor& tokens) override;
  std::unique_ptr<ReadOutPass> fast_read_out(const ReadOutRequest& request) override;

  const MlpConfig& config() const { return config_; }
  bool has_bits() const { return config_.input == MlpConfig::Input::bits; }
  /// Whether a row of W_in belongs to a token, rather than to a dimension of an embedding.
  bool reads_tokens() const;
  /// Whether W_out gives logits rather than a vector to be unembedded.
  bool writes_logits() const;

  class Table;  ///< mlp_table.h
  /// A GradientPass, for what gradients_fit() says yes to (mlp_gradients.cpp).
  class Gradients;
  bool gradients_fit(const TaskSpec& spec, const Batch& batch) const;

 private:
  void add_input(const TaskSpec& spec, torch::Generator rng);
  void add_hidden(torch::Generator rng);
  void add_output(torch::Generator rng);
  torch::Tensor draw(std::vector<int64_t> shape, bool embedding, torch::Generator rng) const;

  torch::Tensor circle(torch::Device device) const;       // [d_vocab, 2]
  torch::Tensor embedding_of(size_t operand) const;       // [d_vocab, d_embed], on the weights' device
  torch::Tensor unembedding() const;                      // [d_embed, d_vocab_out], likewise
  torch::Tensor bits(const torch::Tensor& tokens) const;  // [batch, n_ctx], or one more with bias_column
  torch::Tensor one_hot_sum(const torch::Tensor& tokens) const;  // [batch, d_vocab]
  torch::Tensor first_layer(const torch::Tensor& tokens);        // [batch, d_mlp], without b_in
  torch::Tensor fast_first_layer(const torch::Tensor& operands) const;
  bool operands_share_rows() const;
  bool kernels_fit(const torch::Tensor& tokens) const;
  bool table_fits(const torch::Tensor& tokens) const;
  bool output_is_joined(int64_t n_examples) const;
  bool is_one_table(const torch::Tensor& tokens) const;
  torch::Tensor patterns() const;
  torch::Tensor rows_of_bits(const torch::Tensor& tokens) const;
  torch::Tensor first_layer_table(const torch::Tensor& fixed) const;
  torch::Tensor first_layer_rows(const torch::Tensor& operands) const;
  std::function<torch::Tensor(const torch::Tensor& W)> hidden_layer(const torch::Tensor& fixed,
                                                                    const torch::Tensor& rows) const;
  torch::Tensor activate(const torch::Tensor& pre) const;

  MlpConfig config_;
  int64_t d_vocab_ = 0, d_vocab_out_ = 0;
  // By operand; twice the same tensor where they share it. bits and one_hot_sum have W_in_[0] only.
  std::array<torch::Tensor, 2> W_E_, W_in_;
  torch::Tensor b_in_, W_hidden_, b_hidden_, W_out_, b_out_, W_U_;  // undefined where there is none
  mutable torch::Tensor circle_;  // fixed; moved to where it is needed, as Model::to moves weights only
  HookPoint *hook_embed_ = nullptr, *hook_input_ = nullptr, *hook_pre_ = nullptr, *hook_post_ = nullptr,
            *hook_pre_2_ = nullptr, *hook_post_2_ = nullptr, *hook_mlp_out_ = nullptr;
};

}  // namespace orrery
