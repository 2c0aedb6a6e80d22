// The program `orrery` that users run. It links only the C++ library, because loading LibTorch takes half a
// second: it prints help and versions itself, sets the environment, and becomes orrery-core, which does the
// work.
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>

#include "core_type.h"

namespace {

namespace fs = std::filesystem;

struct HelpText {
  std::string_view command;  // "orrery": the program itself
  std::string_view text;
};
// The files of help/, which orrery-core --help-texts wrote.
constexpr HelpText help_texts[] = {
#include "help_texts.inc"
};

std::string_view help_of(std::string_view command) {
  for (const HelpText& help : help_texts)
    if (help.command == command) return help.text;
  return {};
}

// The answer to a request for help or the version; empty for all other requests.
std::string_view answer(int argc, char** argv) {
  const auto is_help = [&](int i) { return !std::strcmp(argv[i], "--help") || !std::strcmp(argv[i], "-h"); };
  const bool help_command = argc >= 2 && !std::strcmp(argv[1], "help");
  if (argc == 1 || (argc == 2 && (is_help(1) || help_command))) return help_of("orrery");
  if (argc == 3 && help_command && argv[2][0] != '-') return help_of(argv[2]);
  if (argc == 2 && !std::strcmp(argv[1], "--version")) return help_of("--version");
  if (argc == 3 && argv[1][0] != '-' && is_help(2)) return help_of(argv[1]);
  return {};
}

// orrery-core lies beside this program in a build tree, in ../lib/orrery/bin where it is installed.
fs::path core() {
  std::error_code failed;
  const fs::path folder = fs::read_symlink("/proc/self/exe", failed).parent_path();
  for (const fs::path& place : {folder, folder.parent_path() / "lib/orrery/bin"})
    if (fs::exists(place / "orrery-core", failed)) return place / "orrery-core";
  return {};
}

// BLAS and OpenMP read these once, when they are loaded. ORRERY_TUNE=0 leaves them alone.
void tune_environment(const fs::path& core) {
  const char* wish = std::getenv("ORRERY_TUNE");
  if (wish && !std::strcmp(wish, "0")) return;
  constexpr int keep = 0, replace = 1;
  // More threads make small matrices slower; users can set [train] threads. OpenBLAS begins its threads when
  // that is read, not when it is loaded: those would not flush subnormals.
  setenv("OMP_NUM_THREADS", "1", keep);
  setenv("OPENBLAS_NUM_THREADS", "1", replace);
  if (std::getenv("OPENBLAS_CORETYPE")) return;
  if (const std::string type = orrery::core_type(core); !type.empty())
    setenv("OPENBLAS_CORETYPE", type.c_str(), keep);
}

// What tune_environment() decides, as lines NAME=VALUE.
int print_environment() {
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE"})
    if (const char* value = std::getenv(name)) std::cout << name << "=" << value << "\n";
  return std::cout.flush() ? 0 : 1;
}

int complain(const std::string& what) {
  std::cerr << "error: " << what << "\n  build or install Orrery anew: ./orrery, or cmake --install BUILD\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (const std::string_view text = answer(argc, argv); !text.empty()) {
    std::cout << text;
    if (std::cout.flush()) return 0;
    std::cerr << "error: cannot write to stdout\n";
    return 1;
  }
  const fs::path program = core();
  if (program.empty())
    return complain("orrery-core is missing: it belongs beside this program, or in ../lib/orrery/bin");
  tune_environment(program);
  if (argc == 2 && !std::strcmp(argv[1], "--environment")) return print_environment();
  execv(program.c_str(), argv);
  return complain("cannot start " + program.string() + ": " + std::strerror(errno));
}
