// The parameters of group_representations, and whose definitions settle what they leave open.
#pragma once

#include <orrery/fields.h>

#include <string>
#include <vector>

namespace group_representations {

// Where definitions differ, ours and those of a published code. A parameter of the same name overrides one.
struct Definitions {
  std::string rule, logits_about, weights_about, embedding, class_means;
};
inline Definitions definitions_of(const std::string& preset) {
  if (preset == "chughtai") return {"chughtai", "inputs", "zero", "neurons", "left_out"};
  return {"logits", "all", "mean", "weights", "added"};
}

struct Params {
  std::string preset = "orrery";
  std::string rule = "preset";
  double threshold = 0.01;
  std::vector<std::string> representations;
  std::string exclude = "character";
  std::string logits_about = "preset";
  std::string weights_about = "preset";
  std::string embedding = "preset";
  std::string class_means = "preset";

  static void fields(orrery::Fields<Params>& f) {
    f.add("preset", &Params::preset, "whose definitions: they decide what is left at \"preset\"")
        .one_of({"orrery", "chughtai"});
    f.add("rule", &Params::rule, "how key representations are told from the rest")
        .one_of({"preset", "logits", "chughtai", "given", "all"});
    f.add("threshold", &Params::threshold,
          "rule logits: the share of the variance of the logits that makes a representation a key")
        .between(0, 1);
    f.add("representations", &Params::representations, "rule given: the names of the key representations");
    f.add("exclude", &Params::exclude, "what excluded loss takes out of the logits")
        .one_of({"character", "product"});
    f.add("logits_about", &Params::logits_about,
          "the mean that is no part of the logits: that of all, or of each input over its classes")
        .one_of({"preset", "all", "inputs"});
    f.add("weights_about", &Params::weights_about,
          "what the sum of squares of a weight is taken about: the mean over elements, or zero")
        .one_of({"preset", "mean", "zero"});
    f.add("embedding", &Params::embedding,
          "the embedding by itself, or what it gives the neurons: W_E W_in in an mlp")
        .one_of({"preset", "weights", "neurons"});
    f.add("class_means", &Params::class_means,
          "restricted loss: whether the mean of each class over all pairs is added back")
        .one_of({"preset", "added", "left_out"});
  }

  // Replaces what is left at "preset".
  Params resolved() const {
    const Definitions given = definitions_of(preset);
    Params all = *this;
    const auto settle = [](std::string& setting, const std::string& value) {
      if (setting == "preset") setting = value;
    };
    settle(all.rule, given.rule);
    settle(all.logits_about, given.logits_about);
    settle(all.weights_about, given.weights_about);
    settle(all.embedding, given.embedding);
    settle(all.class_means, given.class_means);
    return all;
  }
};

}  // namespace group_representations
