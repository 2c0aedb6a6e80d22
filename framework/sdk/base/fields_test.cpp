// orrery/fields.h and orrery/error.h.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/fields.h>

#include <cmath>
#include <limits>

namespace orrery {
namespace {

struct Base {
  double rate = 0.5;
};

struct Params : Base {
  int64_t p = 113;
  bool flag = false;
  std::string operation = "add";
  std::vector<int64_t> keys;
  std::vector<double> scales = {1.0};
  std::vector<std::string> names;
  enum class Rule { random, up_to_order };
  friend Names<Rule> names_of(Rule) { return {{"random", Rule::random}, {"a<=b", Rule::up_to_order}}; }
  Rule rule = Rule::up_to_order;
  static void fields(Fields<Params>& f) {
    f.add("p", &Params::p, "modulus").at_least(2);
    f.add("rate", &Params::rate, "of a base").between(0, 1);
    f.add("flag", &Params::flag, "a switch");
    f.add("operation", &Params::operation, "what to do").one_of({"add", "subtract"});
    f.add("keys", &Params::keys, "frequencies").at_most(10);
    f.add("scales", &Params::scales, "scales");
    f.add("names", &Params::names, "names");
    f.add("rule", &Params::rule, "an enum");
  }
};

Field field(const std::string& name) {
  const auto fields = fields_of<Params>();
  for (const Field& f : fields.list())
    if (f.name == name) return f;
  throw std::out_of_range(name);
}

std::string fault(const std::string& name, Value value) {
  return conform(field(name), value).value_or("none");
}

// The message of an Error of exactly the type E.
template <class E, class Run>
std::string thrown(Run&& run) {
  try {
    run();
  } catch (const Error& error) {
    return typeid(error) == typeid(E) ? error.what() : std::string("another type: ") + error.what();
  }
  return "nothing";
}

TEST(FieldsTest, DefaultsAreTheMemberInitialisers) {
  const auto fields = fields_of<Params>();
  const Params made = fields.make({});
  EXPECT_EQ(made.p, 113);
  EXPECT_EQ(made.rate, 0.5);
  const Values values = fields.values(made);
  ASSERT_EQ(values.size(), fields.list().size());
  for (const Field& f : fields.list()) EXPECT_EQ(values.at(f.name), f.fallback) << f.name;
}

TEST(FieldsTest, MakeOverlaysValuesAndWidens) {
  const Params made = fields_of<Params>().make({{"p", int64_t{59}},
                                                {"rate", int64_t{1}},
                                                {"scales", std::vector<int64_t>{2, 3}},
                                                {"names", std::vector<int64_t>{}},
                                                {"keys", std::vector<int64_t>{7}}});
  EXPECT_EQ(made.p, 59);
  EXPECT_EQ(made.rate, 1.0);
  EXPECT_EQ(made.scales, (std::vector<double>{2, 3}));
  EXPECT_TRUE(made.names.empty());
  EXPECT_EQ(made.keys, (std::vector<int64_t>{7}));
}

TEST(FieldsTest, AnEnumIsATextOutsideTheStruct) {
  using Rule = Params::Rule;
  const auto fields = fields_of<Params>();
  EXPECT_EQ(field("rule").fallback, Value(std::string("a<=b")));
  EXPECT_EQ(field("rule").type(), "text");
  EXPECT_EQ(field("rule").bounds(), "random | a<=b");
  EXPECT_EQ(fault("rule", std::string("randon")),
            "expected one of random | a<=b, got \"randon\" (did you mean \"random\"?)");
  EXPECT_EQ(fault("rule", int64_t{1}), "expected one of random | a<=b, got 1 (an integer)");
  for (const Rule rule : {Rule::random, Rule::up_to_order}) {
    const Params made = fields.make({{"rule", name_of(rule)}});
    EXPECT_EQ(made.rule, rule);
    EXPECT_EQ(fields.values(made).at("rule"), Value(name_of(rule)));
    EXPECT_EQ(named<Rule>(name_of(rule)), rule);
  }
  EXPECT_EQ(thrown<Error>([] { named<Rule>("rule"); }), "names_of() gives no value for the text \"rule\"");
  EXPECT_EQ(thrown<Error>([] { name_of(static_cast<Rule>(7)); }),
            "names_of() gives no text for the value 7 of an enum");
}

TEST(FieldsTest, ConformSaysWhatWasExpected) {
  EXPECT_EQ(fault("p", int64_t{2}), "none");
  EXPECT_EQ(fault("p", int64_t{1}), "expected an integer >= 2, got 1");
  EXPECT_EQ(fault("p", 3.0), "expected an integer >= 2, got 3.0 (a real)");
  EXPECT_EQ(fault("p", true), "expected an integer >= 2, got true (a boolean)");
  EXPECT_EQ(fault("rate", 1.0), "none");
  EXPECT_EQ(fault("rate", std::nextafter(1.0, 2.0)), "expected a real 0 to 1, got 1.0000000000000002");
  EXPECT_EQ(fault("rate", std::nan("")), "expected a real 0 to 1, got nan");
  EXPECT_EQ(fault("flag", int64_t{1}), "expected a boolean, got 1 (an integer)");
  EXPECT_EQ(fault("operation", std::string("ad")),
            "expected one of add | subtract, got \"ad\" (did you mean \"add\"?)");
  EXPECT_EQ(fault("operation", int64_t{3}), "expected one of add | subtract, got 3 (an integer)");
  EXPECT_EQ(fault("keys", std::vector<int64_t>{10, 11}), "expected a list of integers <= 10, got [10, 11]");
  EXPECT_EQ(fault("keys", int64_t{3}), "expected a list of integers <= 10, got 3 (an integer)");
  EXPECT_EQ(fault("keys", std::vector<double>{1}),
            "expected a list of integers <= 10, got [1.0] (a list of reals)");
  EXPECT_EQ(fault("names", std::vector<int64_t>{1}),
            "expected a list of texts, got [1] (a list of integers)");
}

TEST(FieldsTest, ValuesReadAsToml) {
  EXPECT_EQ(to_string(Value(true)), "true");
  EXPECT_EQ(to_string(Value(int64_t{-3})), "-3");
  EXPECT_EQ(to_string(Value(1.0)), "1.0");
  EXPECT_EQ(to_string(Value(-0.0)), "-0.0");
  EXPECT_EQ(to_string(Value(0.1)), "0.1");
  EXPECT_EQ(to_string(Value(1e-8)), "1e-08");
  EXPECT_EQ(to_string(Value(std::numeric_limits<double>::infinity())), "inf");
  EXPECT_EQ(to_string(Value(std::string("a\"b\\c\nd\x7f"))), "\"a\\\"b\\\\c\\u000ad\\u007f\"");
  EXPECT_EQ(to_string(Value(std::vector<std::string>{"a", "b"})), "[\"a\", \"b\"]");
  EXPECT_EQ(to_string(Value(std::vector<double>{1, 2.5})), "[1.0, 2.5]");
  EXPECT_EQ(to_string(Value(std::vector<int64_t>{})), "[]");
}

TEST(FieldsTest, TypesAndBoundsForPeople) {
  EXPECT_EQ(field("p").type(), "integer");
  EXPECT_EQ(field("p").bounds(), ">= 2");
  EXPECT_EQ(field("rate").bounds(), "0 to 1");
  EXPECT_EQ(field("keys").type(), "list of integers");
  EXPECT_EQ(field("keys").bounds(), "<= 10");
  EXPECT_EQ(field("operation").bounds(), "add | subtract");
  EXPECT_EQ(field("names").bounds(), "");
}

TEST(FieldsTest, ConformedNamesTheParameter) {
  const auto list = fields_of<Params>().list();
  EXPECT_EQ(thrown<UsageError>([&] {
              conformed(list, {{"keyz", int64_t{1}}});
            }),
            "no parameter \"keyz\" (did you mean \"keys\"?)");
  EXPECT_EQ(thrown<UsageError>([&] {
              conformed(list, {{"p", int64_t{1}}});
            }),
            "parameter \"p\": expected an integer >= 2, got 1");
}

TEST(FieldsTest, DeclarationsNobodyCanUseAreRefused) {
  const Field good{"a", int64_t{1}, "doc", {}, {}, {}};
  Field unnamed = good, silent = good, out = good;
  unnamed.name = "";
  silent.doc = "";
  out.at_least(2);
  EXPECT_NO_THROW(check_declaration({good}));
  EXPECT_NO_THROW(check_declaration(fields_of<Params>().list()));
  EXPECT_EQ(thrown<Error>([&] { check_declaration({unnamed}); }),
            "a parameter is declared with an empty name");
  EXPECT_EQ(thrown<Error>([&] { check_declaration({good, good}); }), "parameter \"a\" is declared twice");
  EXPECT_EQ(thrown<Error>([&] { check_declaration({silent}); }), "parameter \"a\" has no doc");
  EXPECT_EQ(thrown<Error>([&] { check_declaration({out}); }),
            "the default of parameter \"a\" breaks its own bounds: expected an integer >= 2, got 1");
}

TEST(ErrorTest, CarriesAHint) {
  const UsageError error("what", "hint");
  EXPECT_STREQ(error.what(), "what");
  EXPECT_EQ(error.hint(), "hint");
  EXPECT_EQ(Error("what").hint(), "");
}

TEST(ErrorTest, NearestIsALikelyTypoOrNothing) {
  const std::vector<std::string> names = {"every", "reference", "label"};
  EXPECT_EQ(nearest("evry", names), "every");
  EXPECT_EQ(nearest("refrence", names), "reference");
  EXPECT_EQ(nearest("Label", names), "label");
  EXPECT_EQ(nearest("d_model", names), "");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest("every", {}), "");
  EXPECT_EQ(nearest("", {"lr"}), "");
  EXPECT_EQ(nearest("ab", {"lr"}), "");
  EXPECT_EQ(nearest("l", {"lr"}), "lr");
  EXPECT_EQ(did_you_mean("evry", names), " (did you mean \"every\"?)");
  EXPECT_EQ(did_you_mean("d_model", names), "");
}

}  // namespace
}  // namespace orrery
