#include "loader/guard.h"

#include <c10/util/Exception.h>
#include <cxxabi.h>
#include <fmt/format.h>
#include <orrery/error.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <typeinfo>

namespace orrery {
namespace {

// LibTorch appends a backtrace to the text of its exceptions, and it stays when they are rethrown as others.
std::string without_backtrace(std::string_view text) {
  text = text.substr(0, text.find("\nException raised from "));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return std::string(text);
}

// The C++ type of the exception in flight.
std::string type_in_flight() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (!type) return "something of unknown type";
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), std::free);
  return name ? fmt::format("a value of type {}", name.get()) : "something of unknown type";
}

}  // namespace

const char* name_of(PluginKind kind) noexcept {
  switch (kind) {
    case PluginKind::task:
      return "task";
    case PluginKind::probe:
      return "probe";
    case PluginKind::loss:
      return "loss";
    case PluginKind::update:
      return "update";
    case PluginKind::model:
      return "model";
  }
  return "plugin";
}

std::string to_string(PluginKind kind) { return name_of(kind); }

std::string plural(PluginKind kind) { return to_string(kind) + (kind == PluginKind::loss ? "es" : "s"); }

std::string with_article(PluginKind kind) {
  return (kind == PluginKind::update ? "an " : "a ") + to_string(kind);
}

PluginKind kind_named(const std::string& name) {
  for (const PluginKind kind : plugin_kinds)
    if (name == name_of(kind)) return kind;
  throw std::invalid_argument("no kind of plugin is called " + name);
}

std::string text_in_flight() {
  try {
    throw;
  } catch (const c10::Error& error) {
    return without_backtrace(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return without_backtrace(error.what());
  } catch (const char* text) {
    return text ? text : "a null pointer was thrown";
  } catch (const std::string& text) {
    return text;
  } catch (...) {
    return fmt::format("{} was thrown", type_in_flight());
  }
}

void rethrow_as_error(const Who& who, const char* call, std::optional<int64_t> step) {
  const std::string name = fmt::format("{} {} {}, ", to_string(who.kind), who.name, who.version);
  std::string text = text_in_flight();
  // A nested call, to a model that the plugin made, has named the plugin already, and more precisely.
  if (!text.starts_with(name))
    text = fmt::format("{}{}{}: {}", name, call, step ? fmt::format(", step {}", *step) : "", text);
  try {
    throw;
  } catch (const UsageError& error) {
    throw UsageError(text, error.hint());
  } catch (const Error& error) {
    throw Error(text, error.hint());
  } catch (const std::exception& error) {
    throw Error(text);
  } catch (...) {
    throw Error(text, "throw orrery::Error with a message instead");
  }
}

}  // namespace orrery
