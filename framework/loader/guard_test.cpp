// How plugins' exceptions reach the host: with the guard alone, and through a loaded probe.
#include <loader/guard.h>

#include "tests/support/loader_fixtures.h"

namespace orrery::test {
namespace {

const Who who{PluginKind::probe, "fourier_basis", "1.0.0"};

template <class Thrown>
std::string message_for(const Thrown& thrown) {
  try {
    guard(who, "measure", 400, [&] { throw thrown; });
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Guard, ReturnsWhatTheBodyReturns) {
  int value = 3;
  EXPECT_EQ(guard(who, "measure", 1, [] { return 7; }), 7);
  int& same = guard(who, "measure", [&]() -> int& { return value; });
  EXPECT_EQ(&same, &value);
}

TEST(Guard, SaysWhoWhatAndWhen) {
  const std::string place = "probe fourier_basis 1.0.0, measure, step 400: ";
  EXPECT_EQ(message_for(std::runtime_error("no")), place + "no");
  EXPECT_EQ(message_for(Error("no")), place + "no");
  EXPECT_EQ(message_for(42), place + "a value of type int was thrown");
  EXPECT_EQ(message_for("words"), place + "words");
  EXPECT_EQ(message_for(std::string("more words")), place + "more words");
  EXPECT_EQ(
      message_for(std::runtime_error("no\nException raised from f at x.cpp:1 (most recent call first):")),
      place + "no");
}

TEST(Guard, LeavesOutTheStepWhereThereIsNone) {
  try {
    guard(Who{PluginKind::task, "sums", "2.0"}, "create", [] { throw std::runtime_error("no"); });
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "task sums 2.0, create: no");
  }
}

TEST(Guard, KeepsMisuseApartFromFailure) {
  EXPECT_THROW(guard(who, "create", [] { throw UsageError("p is not prime", "choose a prime"); }),
               UsageError);
  try {
    guard(who, "create", [] { throw Error("no", "do this"); });
    FAIL();
  } catch (const UsageError&) {
    FAIL() << "a failure became misuse";
  } catch (const Error& error) {
    EXPECT_EQ(error.hint(), "do this");
  }
}

TEST(Guard, NotesWhatRunsForThoseWhoSeeACrash) {
  EXPECT_EQ(RunningCall::innermost(), nullptr);
  guard(who, "measure", 400, [&] {
    ASSERT_NE(RunningCall::innermost(), nullptr);
    EXPECT_EQ(RunningCall::innermost()->who, &who);
    EXPECT_EQ(RunningCall::innermost()->step, 400);
    EXPECT_THROW(guard(who, "forward", [] { throw 1; }), Error);
    EXPECT_STREQ(RunningCall::innermost()->call, "measure");
  });
  EXPECT_EQ(RunningCall::innermost(), nullptr);
}

// An observation of nothing, for a probe that only throws or takes a mean.
struct Nothing {
  struct NoModel final : Model {
    torch::Tensor forward(const torch::Tensor& tokens) override { return tokens; }
  } model;
  TaskSpec spec;
  Structure structure;
  Split split;
  Batch inputs;
  torch::Tensor logits = torch::full({2, 1, 2}, 0.25);
  ActivationCache cache;
  Observation at(int64_t step) { return {step, spec, structure, split, inputs, model, logits, cache}; }
};

struct LoadedProbe {
  Registry registry;
  Nothing nothing;
  LoadedProbe() { registry.load_file(bad_plugin("good_probe")); }

  Instance<Probe> make(const std::string& fail, const std::string& with) {
    return registry.make_probe(registry.find(PluginKind::probe, "good_probe"),
                               {{"fail", fail}, {"with", with}});
  }
  std::string measured(const std::string& with) {
    const auto probe = make("measure", with);
    Recorder recorder;
    try {
      probe->measure(nothing.at(400), recorder);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
};

TEST(GuardedProbe, MeasuresAsThePluginDoes) {
  LoadedProbe loaded;
  const auto probe = loaded.make("", "std");
  Recorder recorder;
  EXPECT_EQ(probe->needs().inputs, Inputs::train);
  EXPECT_TRUE(probe->needs().reference);
  probe->fit(loaded.nothing.at(9));
  probe->measure(loaded.nothing.at(400), recorder);
  ASSERT_EQ(recorder.record().scalars.size(), 1u);
  EXPECT_EQ(recorder.record().scalars[0].second, 0.25);
}

TEST(GuardedProbe, NamesTheCallThatFailed) {
  LoadedProbe loaded;
  const std::string place = "probe good_probe 0.9.0, measure, step 400: ";
  EXPECT_EQ(loaded.measured("std"), place + "ran out of luck");
  EXPECT_EQ(loaded.measured("int"), place + "a value of type int was thrown");
  EXPECT_EQ(loaded.measured("error"), place + "no circuit");
  const std::string torch_text = loaded.measured("torch");
  EXPECT_EQ(torch_text.rfind(place, 0), 0u) << torch_text;
  EXPECT_CONTAINS(torch_text, "2x3");
  EXPECT_EQ(torch_text.find("frame #"), std::string::npos) << torch_text;
  EXPECT_EQ(torch_text.find("Exception raised"), std::string::npos) << torch_text;

  const auto fits = loaded.make("fit", "std");
  try {
    fits->fit(loaded.nothing.at(5000));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "probe good_probe 0.9.0, fit, step 5000: ran out of luck");
  }
  EXPECT_THROW(loaded.make("needs", "int")->needs(), Error);
}

TEST(GuardedTask, NamesTheCallThatFailed) {
  Registry registry;
  registry.load_file(bad_plugin("good_task"));
  const auto task = registry.make_task(*registry.plugins()[0], {{"fail", std::string("split")}});
  try {
    task->split(make_generator(0));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "task good_task 1.2.3, split: a value of type double was thrown");
  }
}

}  // namespace
}  // namespace orrery::test
