// Every fault of the plugins that lie (tests/plugins/bad) is found, and by the check that is meant for it.
#include <gtest/gtest.h>

#include "engine/check/parameters.h"
#include "engine/check/probe_checks.h"
#include "engine/check/task_checks.h"
#include "engine/check/training_checks.h"
#include "engine/experiment/check_split.h"
#include "tests/support/loader_fixtures.h"

namespace orrery::test {

using namespace engine;
namespace {

using checks::Check;
using checks::Result;
using checks::Verdict;

const Plugin& lying(const std::string& name) {
  static auto* registry = [] {
    auto* all = new Registry;
    for (const char* file :
         {"lying_task", "lying_probe", "good_task", "lying_loss", "lying_update", "lying_model"})
      all->load_file(bad_plugin(file));
    return all;
  }();
  return *registry->find(name).front();
}

checks::TaskSource source_of(const Plugin& plugin) {
  return {plugin.name, plugin.parameters,
          [&plugin](const Values& values) { return make_task(plugin, values); }};
}

using Results = std::vector<std::pair<std::string, Result>>;

Results run(const std::vector<Check>& all) {
  Results results;
  std::map<std::string, Verdict> so_far;
  for (const Check& check : all) {
    results.emplace_back(check.name, run_check(check, so_far));
    so_far[check.name] = results.back().second.verdict;
  }
  return results;
}

Results check_task(const std::string& fault) {
  const Plugin& plugin = lying("lying_task");
  const Values given{{"fault", fault}};
  const auto made = [&](Values values) {
    values.insert({"fault", fault});
    return make_task(plugin, values);
  };
  const checks::DeclaredParameters declared{
      .summary = plugin.summary, .fields = plugin.parameters, .make = made, .use = [&](const Values& values) {
        const auto task = made(values);
        check_split(task->spec(), task->split(make_generator(0)));
      }};
  std::vector<Check> all = checks::parameter_checks(declared);
  for (Check& check : checks::task_checks(
           std::make_shared<checks::TaskUnderCheck>(source_of(plugin), given, [](const std::string&) {})))
    all.push_back(std::move(check));
  all.push_back(checks::small_values_check(declared, {"makes its data", "shapes and dtypes"}));
  return run(all);
}

Results check_probe(const std::string& fault) {
  const Plugin& plugin = lying("lying_probe");
  checks::ProbeFixtures fixtures;
  fixtures.tasks = {source_of(lying("lying_task")), source_of(lying("good_task"))};
  fixtures.models = checks::small_models();
  const checks::ProbeSource source{plugin.name, [&] { return make_probe(plugin, {{"fault", fault}}); }};
  return run(checks::probe_checks(
      std::make_shared<checks::ProbeUnderCheck>(source, std::move(fixtures), [](const std::string&) {})));
}

template <class Noun>
checks::SourceOf<Noun> source_of(const std::string& name, const Values& given,
                                 Instance<Noun> (*make)(const Plugin&, const Values&)) {
  const Plugin& plugin = lying(name);
  return {name, plugin.version, [&plugin, given, make] { return make(plugin, given); }};
}

constexpr auto silent = [](const std::string&) {};

Results check_loss(const std::string& fault) {
  return run(checks::loss_checks(source_of("lying_loss", {{"fault", fault}}, make_loss), silent));
}
Results check_update(const std::string& fault, const std::string& stage = "optimizer") {
  const Values given{{"fault", fault}, {"stage", stage}};
  return run(checks::update_checks(source_of("lying_update", given, make_update), silent));
}
Results check_model(const std::string& fault) {
  return run(checks::model_checks(source_of("lying_model", {{"fault", fault}}, make_model_maker), silent));
}

std::vector<std::string> failed(const Results& results) {
  std::vector<std::string> names;
  for (const auto& [name, result] : results)
    if (result.verdict == Verdict::failed) {
      names.push_back(name);
      EXPECT_NE(result.seen, "") << name;
      EXPECT_NE(result.advice, "") << name << ": " << result.seen;
    }
  return names;
}

std::string details(const Results& results) {
  std::string text;
  for (const auto& [name, result] : results)
    text += to_string(result.verdict) + "  " + name + "  " + result.seen + "  " + result.advice + "\n";
  return text;
}

struct Fault {
  const char *name, *check;
};

class LyingTask : public ::testing::TestWithParam<Fault> {};
TEST_P(LyingTask, IsFoundByTheCheckMeantForIt) {
  const Results results = check_task(GetParam().name);
  EXPECT_EQ(failed(results), std::vector<std::string>{GetParam().check}) << details(results);
}
const Fault task_faults[] = {
    {"accepts_what_it_cannot_do", "small values work or are refused"},
    {"wrong_dtype", "shapes and dtypes"},
    {"token_out_of_range", "tokens in range"},
    {"label_out_of_range", "labels in range"},
    {"test_in_train", "train and test are disjoint"},
    {"grid_of_another_order", "the grid holds train and test"},
    {"unseeded", "draws from its generator only"},
    {"own_seed", "another seed, other data"},
    {"sample_without_generator", "another seed, other data"},
    {"draws_beside", "draws from its generator only"},
    {"empty_loss_group", "loss groups cover what is read out"},
    {"wrong_index_map", "cyclic structure is true"},
    {"wrong_cayley_table", "the Cayley table is a group's"},
    {"table_of_another_operation", "the Cayley table gives the labels"},
    {"hidden_dependence", "labels depend on the relevant positions only"},
    {"wrong_repeats", "repeats are where it says"},
    {"auxiliary_of_another_shape", "shapes and dtypes"},
    {"weights_of_another_dtype", "shapes and dtypes"},
    {"too_few_metrics", "its own metrics keep the contract"},
    {"metrics_change_the_logits", "its own metrics keep the contract"},
    {"metrics_change_the_examples", "its own metrics keep the contract"},
    {"metrics_remember", "its own metrics keep the contract"},
    {"nothing_counts", "the loss is finite at random weights"},
    {"wrong_model", "its own model keeps the contract"},
    {"shows_nothing", "shows its inputs"},
};
const auto name_of = [](const auto& info) { return std::string(info.param.name); };
INSTANTIATE_TEST_SUITE_P(Faults, LyingTask, ::testing::ValuesIn(task_faults), name_of);

class LyingProbe : public ::testing::TestWithParam<Fault> {};
TEST_P(LyingProbe, IsFoundByTheCheckMeantForIt) {
  const Results results = check_probe(GetParam().name);
  EXPECT_EQ(failed(results), std::vector<std::string>{GetParam().check}) << details(results);
}
const Fault probe_faults[] = {
    {"fails", "measures"},
    {"undeclared_weight", "its needs are declared"},
    {"undeclared_activation", "its needs are declared"},
    {"undeclared_grid", "its needs are declared"},
    {"undeclared_structure", "its needs are declared"},
    {"undeclared_auxiliary", "its needs are declared"},
    {"writes_to_the_model", "leaves the model as it is"},
    {"leaves_a_hook", "leaves the model as it is"},
    {"writes_into_the_cache", "leaves what it is shown as it is"},
    {"writes_into_the_data", "leaves what it is shown as it is"},
    {"seeds_libtorch", "leaves LibTorch as it is"},
    {"counter", "same numbers twice"},
    {"looks_at_its_neighbours", "same online and offline"},
    {"remembers_the_first_checkpoint", "same online and offline"},
    {"moving_names", "recorded names are stable"},
    {"ragged_figure", "measures"},
    {"figure_without_labels", "figures are whole"},
    {"finding_of_its_own_kind", "findings are of their kind"},
    {"bad_name", "measures"},
    {"needs_two_rows", "concludes from any curve"},
    {"reads_a_step_that_is_not_there", "concludes from any curve"},
    {"tensor_that_is_not_recorded", "concludes from any curve"},
};
INSTANTIATE_TEST_SUITE_P(Faults, LyingProbe, ::testing::ValuesIn(probe_faults), name_of);

class LyingLoss : public ::testing::TestWithParam<Fault> {};
TEST_P(LyingLoss, IsFoundByTheCheckMeantForIt) {
  const Results results = check_loss(GetParam().name);
  EXPECT_EQ(failed(results), std::vector<std::string>{GetParam().check}) << details(results);
}
const Fault loss_faults[] = {
    {"throws", checks::loss_works},
    {"refuses_all", checks::loss_works},
    {"writes_into_logits", checks::loss_works},
    {"sums", checks::loss_works},
    {"another_dtype", checks::loss_works},
    {"gives_a_vector", checks::loss_works},
    {"detached", checks::loss_works},
    {"reduces_to_a_number", checks::loss_works},
    {"part_is_detached", "its gradient is that of the loss"},
    {"ignores_the_mask", "labels outside of the loss mask do not count"},
    {"overflows", "finite far out"},
    {"remembers", "same arguments, same bits"},
};
INSTANTIATE_TEST_SUITE_P(Faults, LyingLoss, ::testing::ValuesIn(loss_faults), name_of);

class LyingUpdate : public ::testing::TestWithParam<Fault> {};
TEST_P(LyingUpdate, IsFoundByTheCheckMeantForIt) {
  const std::string fault = GetParam().name;
  const Results results = check_update(fault, fault == "writes_into_weights" ? "gradients" : "optimizer");
  EXPECT_EQ(failed(results), std::vector<std::string>{GetParam().check}) << details(results);
}
const Fault update_faults[] = {
    {"throws", checks::update_works},
    {"refuses_all", checks::update_works},
    {"writes_into_weights", checks::update_works},
    {"replaces_tensors", checks::update_works},
    {"gives_nan", checks::update_works},
    {"asks_without_saying", checks::update_works},
    {"draws_beside", "same start, same weights"},
    {"moment_in_a_member", "its state is all it remembers"},
    {"counts_in_a_member", "its state is all it remembers"},
    {"divides_by_the_norm", "finite where gradients are 0"},
    {"float32_only", "works in float64"},
};
INSTANTIATE_TEST_SUITE_P(Faults, LyingUpdate, ::testing::ValuesIn(update_faults), name_of);

class LyingModel : public ::testing::TestWithParam<Fault> {};
TEST_P(LyingModel, IsFoundByTheCheckMeantForIt) {
  const Results results = check_model(GetParam().name);
  EXPECT_EQ(failed(results), std::vector<std::string>{GetParam().check}) << details(results);
}
const Fault model_faults[] = {
    {"refuses_all", checks::model_works},
    {"no_weights", checks::model_works},
    {"throws", "forward and fast passes agree"},
    {"one_position", "forward and fast passes agree"},
    {"grows", "forward and fast passes agree"},
    {"draws_beside", "weights come from the generator only"},
    {"hook_is_ignored", "activations go through the hook points"},
    {"hook_point_that_nothing_passes", "activations go through the hook points"},
    {"hook_sees_no_batch", "activations go through the hook points"},
    {"unused_weight", "it can be trained"},
    {"detached", "it can be trained"},
};
INSTANTIATE_TEST_SUITE_P(Faults, LyingModel, ::testing::ValuesIn(model_faults), name_of);

TEST(LyingPlugins, WithoutAFaultPass) {
  const Results task = check_task("");
  EXPECT_EQ(failed(task), std::vector<std::string>{}) << details(task);
  for (const char* fine : {"", "declared_weight", "declared_auxiliary", "found_things", "own_records"}) {
    const Results probe = check_probe(fine);
    EXPECT_EQ(failed(probe), std::vector<std::string>{}) << fine << "\n" << details(probe);
  }
}

TEST(LyingPlugins, OfTrainingWithoutAFaultPass) {
  for (const Results& results :
       {check_loss(""), check_update(""), check_update("", "gradients"), check_update("", "weights"),
        check_update("matrices_only"), check_model("")}) {
    EXPECT_EQ(failed(results), std::vector<std::string>{}) << details(results);
    for (const auto& [name, result] : results) EXPECT_EQ(result.verdict, Verdict::ok) << details(results);
  }
}

// Without these a check that never says anything would pass the tests above.
TEST(LyingPlugins, WithoutAFaultAreReallyLookedAt) {
  size_t said = 0;
  for (const auto& [name, result] : check_probe("declared_weight")) said += result.verdict == Verdict::ok;
  EXPECT_GE(said, 10u);
}

TEST(ParameterChecks, FindWhatADeclarationGetsWrong) {
  struct Case {
    std::string check;
    std::function<void(checks::DeclaredParameters&)> spoil;
  };
  const auto refuse = [](const std::vector<Field>& fields) {
    return [fields](const Values& values) { conformed(fields, values); };
  };
  Field p{"p", int64_t{7}, "the modulus", {}, {}, {}};
  p.between(2, 100);
  const std::vector<Field> good = {p};
  const std::vector<Case> cases = {
      {"", [](auto&) {}},
      {"parameters are documented", [](auto& d) { d.fields[0].doc = ""; }},
      {"parameters are documented", [](auto& d) { d.fields[0].doc = "The modulus."; }},
      {"parameters are documented", [](auto& d) { d.summary = "No sentence"; }},
      {"parameters are documented",
       [&](auto& d) {
         d.fields[0].name = "the modulus";
         d.make = refuse(d.fields);
       }},
      {"the defaults fit", [](auto& d) { d.make = [](const Values&) { throw Error("cannot", "do not"); }; }},
      {"bounds are enforced",
       [](auto& d) {
         d.make = [](const Values& values) {
           if (values.empty()) return;
           if (!std::holds_alternative<int64_t>(values.begin()->second) || values.begin()->first != "p")
             throw Error(values.begin()->first);
         };
       }},
      {"types are enforced",
       [](auto& d) {
         d.make = [](const Values& values) {
           const auto* n = values.empty() ? nullptr : std::get_if<int64_t>(&values.begin()->second);
           if (n && (*n < 2 || *n > 100)) throw Error("p is out of bounds");
         };
       }},
      {"small values work or are refused",
       [](auto& d) {
         d.use = [](const Values& values) {
           if (!values.empty()) throw Error("overflow");
         };
       }},
  };
  for (const Case& c : cases) {
    checks::DeclaredParameters declared{"A plugin.", good, refuse(good), [](const Values&) {}};
    c.spoil(declared);
    std::vector<std::string> expected;
    if (!c.check.empty()) expected.push_back(c.check);
    std::vector<Check> all = checks::parameter_checks(declared);
    all.push_back(checks::small_values_check(declared, {}));
    const Results results = run(all);
    std::vector<std::string> names;
    for (const auto& [name, result] : results)
      if (result.verdict == Verdict::failed) names.push_back(name);
    EXPECT_EQ(names, expected) << c.check << "\n" << details(results);
  }
}

}  // namespace
}  // namespace orrery::test
