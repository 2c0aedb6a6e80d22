// Describes how a process ended.
#pragma once

#include <string>

namespace orrery {

/// "SIGSEGV (Segmentation fault)".
std::string signal_text(int signal_number);

/// The likely mistake of a plugin's author behind this signal, or "". Safe in a signal handler.
const char* signal_advice(int signal_number) noexcept;

/// "SIGSEGV (Segmentation fault)" or "exit code 3", from the status of waitpid(). That of a stopped process
/// stands for one that was stopped too often and killed.
std::string ending_text(int status);
/// signal_advice() of the signal that ended it, or the likely mistake behind another ending.
std::string ending_advice(int status);

}  // namespace orrery
