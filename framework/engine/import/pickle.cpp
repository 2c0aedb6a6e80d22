#include "engine/import/pickle.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <unordered_map>

#include "engine/import/pickle_globals.h"
#include "engine/import/shown.h"

namespace orrery::engine::pickle {
namespace {

// Bounds on memory: one byte of the file can make an object, and six can make a call that copies.
constexpr size_t max_objects = 10'000'000;
constexpr uint64_t max_copied = 256 << 20;

// A string of decimal digits, as the oldest opcodes have them.
std::optional<int64_t> parse_integer(std::string_view text) {
  int64_t value = 0;
  size_t used = 0;
  try {
    value = std::stoll(std::string(text), &used);
  } catch (const std::exception&) {
    return {};
  }
  if (used < text.size() && text.substr(used) != "L") return {};
  return value;
}

// The opcodes are those of Python's Lib/pickletools.py.
class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const FindStorage& find_storage, const std::string& where)
      : bytes_(bytes), find_storage_(find_storage), where_(where) {
    make({});
  }

  Heap run() {
    try {
      while (step()) {
      }
    } catch (const Error& error) {
      throw Error(fmt::format("{}: {} (byte {} of its pickle)", where_, error.what(), opcode_at_),
                  error.hint());
    }
    heap_.size = at_;
    return std::move(heap_);
  }

 private:
  [[noreturn]] static void malformed(const std::string& what) {
    throw Error("its pickle is damaged: " + what, "copy or download the file again");
  }

  std::span<const std::byte> take(uint64_t size) {
    if (size > bytes_.size() - at_) malformed("it ends too early");
    at_ += size;
    return bytes_.subspan(at_ - size, size);
  }
  template <class Integer>
  Integer number() {
    Integer value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string text(uint64_t size) {
    const auto taken = take(size);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }
  std::string line() {
    std::string text;
    for (char c; (c = static_cast<char>(take(1)[0])) != '\n';) text += c;
    return text;
  }

  Object* make(Object object) {
    if (heap_.objects.size() >= max_objects)
      throw Error(fmt::format("more than {} objects", max_objects), "save the weights alone");
    return &heap_.objects.emplace_back(std::move(object));
  }
  template <class Value>
  void push(Value value) {
    stack_.push_back(make({std::move(value)}));
  }
  void push_none() { stack_.push_back(&heap_.objects.front()); }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Object* top() {
    if (stack_.size() <= floor()) malformed("an empty stack");
    return stack_.back();
  }
  Object* pop() {
    Object* object = top();
    stack_.pop_back();
    return object;
  }
  // Everything above the last mark.
  std::vector<Ref> pop_to_mark() {
    if (marks_.empty()) malformed("no mark");
    const std::vector<Ref> items(stack_.begin() + static_cast<ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  std::vector<Ref> pop_last(size_t count) {
    std::vector<Ref> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }

  template <class Container>
  Container& container(const char* name) {
    Container* found = std::get_if<Container>(&top()->value);
    if (!found) malformed(fmt::format("expected {} to add to, found {}", name, top()->describe()));
    return *found;
  }
  Instance* top_instance() { return std::get_if<Instance>(&top()->value); }
  void append(const std::vector<Ref>& items) {
    Instance* instance = top_instance();
    std::vector<Ref>& into = instance ? instance->arguments : container<List>("a list").items;
    into.insert(into.end(), items.begin(), items.end());
  }
  void set_items(const std::vector<Ref>& items) {
    Instance* instance = top_instance();
    add_pairs(instance ? instance->attributes : container<Dict>("a dict"), items);
  }
  static void add_pairs(Dict& dict, const std::vector<Ref>& items) {
    if (items.size() % 2 != 0) malformed("a key without a value");
    for (size_t i = 0; i < items.size(); i += 2) dict.entries.emplace_back(items[i], items[i + 1]);
  }
  void push_dict(const std::vector<Ref>& items) {
    Dict dict;
    add_pairs(dict, items);
    push(std::move(dict));
  }

  void put(uint64_t index) { memo_[index] = top(); }
  void get(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) malformed(fmt::format("nothing is remembered as {}", index));
    stack_.push_back(found->second);
  }
  uint64_t index_line() {
    const auto index = parse_integer(line());
    if (!index || *index < 0) malformed("an index that is not a number");
    return static_cast<uint64_t>(*index);
  }

  void integer_line() {
    const std::string text = line();
    if (text == "00" || text == "01") return push(text == "01");
    long_line(text);
  }
  void long_line(const std::string& text) {
    const auto value = parse_integer(text);
    return value ? push(*value) : push(Other{"an integer beyond 64 bits", Dtype::U8, {}});
  }
  void real_line() {
    const std::string text = line();
    try {
      push(std::stod(text));
    } catch (const std::exception&) {
      malformed("a real that is not a number");
    }
  }
  void long_bytes(uint64_t size) {
    const auto bytes = take(size);
    if (size > sizeof(int64_t)) return push(Other{"an integer beyond 64 bits", Dtype::U8, {}});
    uint64_t value = 0;  // little-endian, two's complement
    for (size_t i = 0; i < bytes.size(); ++i) value |= static_cast<uint64_t>(bytes[i]) << (8 * i);
    if (size > 0 && size < 8 && (static_cast<uint8_t>(bytes.back()) & 0x80))
      value |= ~uint64_t{0} << (8 * size);
    push(static_cast<int64_t>(value));
  }
  void real() {
    uint64_t bits = 0;
    for (const std::byte byte : take(sizeof bits)) bits = (bits << 8) | static_cast<uint64_t>(byte);
    push(std::bit_cast<double>(bits));
  }

  void global(const std::string& module, const std::string& name) {
    std::string full = module + "." + name;
    if (!harmless_global(full))
      throw Error(fmt::format("it asks for {}, which no network needs and a trap would; nothing was executed",
                              shown(full)),
                  "do not open it with Python's pickle; if it is yours, save the weights alone: "
                  "torch.save(model.state_dict(), FILE)");
    push(Other{std::move(full), Dtype::U8, {}});
  }
  void stack_global() {
    const std::vector<Ref> names = pop_last(2);
    const auto *module = names[0]->as<std::string>(), *name = names[1]->as<std::string>();
    if (!module || !name) malformed("a global whose name is not text");
    global(*module, *name);
  }
  void reduce() {
    const std::vector<Ref> call = pop_last(2);
    const Other* function = call[0]->as<Other>();
    const List* arguments = call[1]->as<List>();
    if (!function || !arguments) malformed(fmt::format("it calls {}", call[0]->describe()));
    call_with(function->name, arguments->items);
  }
  void call_with(const std::string& function, const std::vector<Ref>& arguments) {
    const size_t buffers = heap_.buffers.size();
    Object* made = make(construct(function, arguments, heap_.buffers));
    copied_ += copied_by(*made);
    for (size_t i = buffers; i < heap_.buffers.size(); ++i) copied_ += heap_.buffers[i].size();
    check_copied();
    stack_.push_back(made);
  }
  void check_copied() const {
    if (copied_ > max_copied) malformed("it makes far more than it holds");
  }
  // A class, the arguments of its __new__, and those that have names.
  void new_with_keywords() {
    const std::vector<Ref> call = pop_last(3);
    const Other* type = call[0]->as<Other>();
    const List* arguments = call[1]->as<List>();
    const Dict* named = call[2]->as<Dict>();
    if (!type || !arguments || !named) malformed(fmt::format("it makes {}", call[0]->describe()));
    call_with(type->name, arguments->items);
    if (top_instance()) set_state(call[2]);
  }
  // Bytes that a constructor took from its arguments.
  static uint64_t copied_by(const Object& made) {
    if (const auto* list = made.as<List>()) return list->items.size() * sizeof(Ref);
    if (const auto* dict = made.as<Dict>()) return 2 * dict->entries.size() * sizeof(Ref);
    if (const auto* bytes = made.as<Bytes>()) return bytes->data.size();
    if (const auto* instance = made.as<Instance>()) return instance->arguments.size() * sizeof(Ref);
    return 0;
  }
  void build_top() {
    const Ref state = pop();
    set_state(state);
  }
  void set_state(Ref state) {
    build(*top(), state);
    if (top_instance()) copied_ += copied_by(*state);
    check_copied();
  }
  void protocol() {
    const int version = number<uint8_t>();
    if (version < 2 || version > 5)
      throw Error(fmt::format("pickle protocol {}, expected 2 to 5", version), "save it with a newer Python");
  }

  bool step();
  void execute(uint8_t opcode);
  void execute_text(uint8_t opcode);
  [[noreturn]] void refuse(uint8_t opcode) const {
    throw Error(fmt::format("its pickle uses opcode 0x{:02x}, which torch.save does not write", opcode),
                "in Python, save the weights alone: torch.save(model.state_dict(), FILE)");
  }

  std::span<const std::byte> bytes_;
  const FindStorage& find_storage_;
  const std::string& where_;
  size_t at_ = 0, opcode_at_ = 0;
  uint64_t copied_ = 0;
  Heap heap_;  // its first object is None
  std::vector<Object*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Object*> memo_;
};

// Runs one opcode. Returns whether there are more.
bool Machine::step() {
  opcode_at_ = at_;
  const auto opcode = number<uint8_t>();
  if (opcode == '.') {
    heap_.root = pop();
    return false;
  }
  execute(opcode);
  return true;
}

void Machine::execute(uint8_t opcode) {
  switch (opcode) {
    case 0x80:
      return protocol();
    case 0x95:
      take(sizeof(uint64_t));  // a frame only says how to buffer the bytes
      return;
    case '(':
      return marks_.push_back(stack_.size());
    case '0':
      pop();
      return;
    case '1':
      pop_to_mark();
      return;
    case '2':
      return stack_.push_back(top());
    case 'N':
      return push_none();
    case 0x88:
      return push(true);
    case 0x89:
      return push(false);
    case 'J':
      return push(int64_t{number<int32_t>()});
    case 'K':
      return push(int64_t{number<uint8_t>()});
    case 'M':
      return push(int64_t{number<uint16_t>()});
    case 'I':
      return integer_line();
    case 'L':
      return long_line(line());
    case 0x8a:
      return long_bytes(number<uint8_t>());
    case 0x8b:
      return long_bytes(number<uint32_t>());
    case 'F':
      return real_line();
    case 'G':
      return real();
    case ']':
    case 0x8f:
      return push(List{});
    case ')':
      return push(List{});
    case 'l':
    case 't':
    case 0x91:
      return push(List{pop_to_mark()});
    case 0x85:
      return push(List{pop_last(1)});
    case 0x86:
      return push(List{pop_last(2)});
    case 0x87:
      return push(List{pop_last(3)});
    case 'a':
      return append(pop_last(1));
    case 'e':
    case 0x90:
      return append(pop_to_mark());
    case '}':
      return push(Dict{});
    case 'd':
      return push_dict(pop_to_mark());
    case 's':
      return set_items(pop_last(2));
    case 'u':
      return set_items(pop_to_mark());
    case 'p':
      return put(index_line());
    case 'q':
      return put(number<uint8_t>());
    case 'r':
      return put(number<uint32_t>());
    case 0x94:
      return put(memo_.size());
    case 'g':
      return get(index_line());
    case 'h':
      return get(number<uint8_t>());
    case 'j':
      return get(number<uint32_t>());
    case 0x93:
      return stack_global();
    case 'R':
    case 0x81:
      return reduce();
    case 0x92:
      return new_with_keywords();
    case 'b':
      return build_top();
    case 'Q':
      return stack_.push_back(make(storage_of(pop(), find_storage_)));
    case 'c': {
      const std::string module = line();
      return global(module, line());
    }
    default:
      execute_text(opcode);
  }
}

void Machine::execute_text(uint8_t opcode) {
  switch (opcode) {
    case 'X':
      return push(text(number<uint32_t>()));
    case 0x8c:
      return push(text(number<uint8_t>()));
    case 0x8d:
      return push(text(number<uint64_t>()));
    case 'V':
      return push(line());
    case 'U':
      return push(text(number<uint8_t>()));  // text of Python 2
    case 'T':
      return push(text(number<uint32_t>()));
    case 'C':
      return push(Bytes{text(number<uint8_t>())});
    case 'B':
      return push(Bytes{text(number<uint32_t>())});
    case 0x8e:
    case 0x96:
      return push(Bytes{text(number<uint64_t>())});
    default:
      refuse(opcode);
  }
}

struct Describe {
  std::string operator()(std::monostate) const { return "None"; }
  std::string operator()(bool value) const { return value ? "True" : "False"; }
  std::string operator()(int64_t value) const { return fmt::format("the integer {}", value); }
  std::string operator()(double value) const { return fmt::format("the real {}", value); }
  std::string operator()(const std::string& value) const { return "the text " + shown(value); }
  std::string operator()(const Bytes& value) const { return fmt::format("{} bytes", value.data.size()); }
  std::string operator()(const List& value) const { return fmt::format("a list of {}", value.items.size()); }
  std::string operator()(const Dict& value) const {
    return fmt::format("a dict with {} key{}", value.entries.size(), value.entries.size() == 1 ? "" : "s");
  }
  std::string operator()(const StoredTensor&) const { return "a tensor"; }
  std::string operator()(const Other& value) const { return shown(value.name); }
  std::string operator()(const Instance& value) const { return "an object of " + shown(value.type); }
};

}  // namespace

Ref Object::find(std::string_view key) const {
  const auto in = [&](const Dict& dict) -> Ref {
    for (auto entry = dict.entries.rbegin(); entry != dict.entries.rend(); ++entry)
      if (const auto* text = entry->first->as<std::string>(); text && *text == key) return entry->second;
    return nullptr;
  };
  if (const Dict* dict = as<Dict>()) return in(*dict);
  const Instance* instance = as<Instance>();
  return instance ? in(instance->attributes) : nullptr;
}

std::string Object::describe() const { return std::visit(Describe{}, value); }

Heap unpickle(std::span<const std::byte> bytes, const FindStorage& find_storage, const std::string& where) {
  return Machine(bytes, find_storage, where).run();
}

}  // namespace orrery::engine::pickle
