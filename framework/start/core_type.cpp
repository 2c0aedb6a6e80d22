#include "core_type.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <sstream>

namespace orrery {
namespace {

namespace fs = std::filesystem;

// OpenBLAS 0.3.21 does not know recent processors. On one Xeon it falls back to kernels a fifth as fast as
// these.
std::string candidate() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) return "SkylakeX";
#endif
  return "";
}

struct Speed {
  std::string blas, core;
  double mflops = 0;
};

// What orrery-core --product-speed prints with these kernels; nothing if it could not be run.
std::optional<Speed> measure(const fs::path& core, const std::string& type) {
  const std::string setting = type.empty() ? "env -u OPENBLAS_CORETYPE" : "env OPENBLAS_CORETYPE=" + type;
  std::string quoted = core.string();
  for (size_t at = 0; (at = quoted.find('\'', at)) != std::string::npos; at += 4)
    quoted.replace(at, 1, "'\\''");
  FILE* pipe = popen((setting + " '" + quoted + "' --product-speed 2>/dev/null").c_str(), "r");
  if (!pipe) return std::nullopt;
  std::string text;
  std::array<char, 256> buffer;
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) text.append(buffer.data(), n);
  if (pclose(pipe) != 0) return std::nullopt;
  Speed speed;
  std::istringstream lines(text);
  std::getline(lines, speed.blas);
  std::getline(lines, speed.core);
  lines >> speed.mflops;
  return speed;
}

// Names the processor, this build, and the BLAS that it finds.
std::string key_of(const fs::path& core) {
  std::ostringstream about;
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);)
    if (line.starts_with("model name")) {
      about << line;
      break;
    }
  for (const fs::path& file : {core, fs::path("/etc/alternatives/libblas.so.3-x86_64-linux-gnu")}) {
    std::error_code failed;
    const fs::path real = fs::canonical(file, failed);
    if (!failed) about << '\n' << real << fs::last_write_time(real, failed).time_since_epoch().count();
  }
  std::ostringstream hexadecimal;
  hexadecimal << std::hex << std::hash<std::string>{}(about.str());
  return hexadecimal.str();
}

fs::path cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache) return fs::path(cache) / "orrery";
  if (const char* home = std::getenv("HOME"); home && *home) return fs::path(home) / ".cache" / "orrery";
  return {};
}

// Whole or not at all: several programs may start at once.
bool keep(const fs::path& file, const std::string& text) {
  const fs::path unfinished = file.string() + "." + std::to_string(getpid());
  std::error_code failed;
  {
    std::ofstream stream(unfinished);
    if (!(stream << text) || !stream.flush()) return fs::remove(unfinished, failed), false;
  }
  fs::rename(unfinished, file, failed);
  return !failed;
}

// Its own choice is kept only where it is clearly the faster one: the bits of a run depend on the kernels,
// and must not on the noise of a measurement.
std::string choose(const std::string& type, const fs::path& core, std::string& record) {
  const std::optional<Speed> own = measure(core, ""), ours = measure(core, type);
  if (!own || !ours) return type;
  std::ostringstream text;
  text << own->blas << ", float32 product of 1,024 x 128 x 512, one thread: " << own->core
       << " (its own choice) " << own->mflops / 1e3 << " GFLOP/s, " << ours->core << " " << ours->mflops / 1e3
       << " GFLOP/s\n";
  record = text.str();
  return ours->core == type && ours->mflops > 0.9 * own->mflops ? type : "";
}

}  // namespace

std::string core_type(const fs::path& core) {
  const std::string type = candidate();
  const fs::path folder = cache_folder();
  std::error_code failed;
  if (type.empty() || folder.empty()) return type;
  const fs::path file = folder / ("core_type_" + key_of(core));
  if (std::ifstream kept(file); kept) {
    std::string line;
    std::getline(kept, line);
    return line;
  }
  fs::create_directories(folder, failed);
  if (failed || !keep(file.string() + ".try", "")) return type;  // it would be measured at every start
  fs::remove(file.string() + ".try", failed);
  std::string record;
  const std::string chosen = choose(type, core, record);
  keep(file, chosen + "\n" + record);
  return chosen;
}

}  // namespace orrery
