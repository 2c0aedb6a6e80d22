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

// BLAS and OpenMP read these once, when they are loaded. ORRERY_TUNE=0 leaves them alone.
void tune_environment() {
  const char* wish = std::getenv("ORRERY_TUNE");
  if (wish && !std::strcmp(wish, "0")) return;
  constexpr int keep = 0;
  // OpenBLAS 0.3.21 does not know recent processors and falls back to AVX2 kernels; with AVX-512 the products
  // that dominate training run 1.5 times as fast.
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    setenv("OPENBLAS_CORETYPE", "SkylakeX", keep);
#endif
  // More threads make small matrices slower; users can set [train] threads.
  setenv("OMP_NUM_THREADS", "1", keep);
  setenv("OPENBLAS_NUM_THREADS", "1", keep);
}

// orrery-core lies beside this program in a build tree, in ../lib/orrery/bin where it is installed.
fs::path core() {
  std::error_code failed;
  const fs::path folder = fs::read_symlink("/proc/self/exe", failed).parent_path();
  for (const fs::path& place : {folder, folder.parent_path() / "lib/orrery/bin"})
    if (fs::exists(place / "orrery-core", failed)) return place / "orrery-core";
  return {};
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
  tune_environment();
  const fs::path program = core();
  if (program.empty())
    return complain("orrery-core is missing: it belongs beside this program, or in ../lib/orrery/bin");
  execv(program.c_str(), argv);
  return complain("cannot start " + program.string() + ": " + std::strerror(errno));
}
