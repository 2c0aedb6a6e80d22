// How a process ended, in words.
#pragma once

#include <string>

namespace orrery {

/// "SIGSEGV (Segmentation fault)".
std::string signal_text(int signal_number);

/// What a plugin's author may have done to get this signal, or "". May be asked in a signal handler.
const char* signal_advice(int signal_number) noexcept;

/// "SIGSEGV (Segmentation fault)" or "exit code 3", from what waitpid() gave.
std::string ending_text(int status);
/// signal_advice() of the signal that ended it, or what else an author may have done.
std::string ending_advice(int status);

}  // namespace orrery
