#include "run_program.h"

#include <fcntl.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace orrery {

namespace fs = std::filesystem;

void Workplace::write(const std::string& name, const std::string& text) const {
  fs::create_directories(path(name).parent_path());
  std::ofstream(path(name)) << text;
}

std::string Workplace::read(const std::string& name) const {
  std::ostringstream text;
  text << std::ifstream(path(name), std::ios::binary).rdbuf();
  return text.str();
}

std::vector<std::string> Workplace::lines(const std::string& name) const {
  std::vector<std::string> all;
  std::istringstream text(read(name));
  for (std::string line; std::getline(text, line);) all.push_back(line);
  return all;
}

std::vector<std::pair<std::string, std::string>> Workplace::tree(const std::string& name) const {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& entry : fs::recursive_directory_iterator(path(name)))
    if (entry.is_regular_file() && entry.path().filename() != ".lock")
      files.emplace_back(fs::relative(entry.path(), path(name)).string(),
                         read(fs::relative(entry.path(), folder_.path()).string()));
  std::sort(files.begin(), files.end());
  return files;
}

pid_t Workplace::start(const std::vector<std::string>& arguments, const std::string& in) const {
  return start(ORRERY_PROGRAM, arguments, in);
}

pid_t Workplace::start(const std::string& program, const std::vector<std::string>& arguments,
                       const std::string& in) const {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  dup2(open(path("out").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDOUT_FILENO);
  dup2(open(path("err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
  if (chdir(path(in).c_str()) != 0) _exit(99);
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  _exit(99);
}

Finished Workplace::wait(pid_t pid) const {
  int status = 0;
  waitpid(pid, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read("out"), read("err")};
}

Finished Workplace::run(const std::filesystem::path& program,
                        const std::vector<std::string>& arguments) const {
  return wait(start(program.string(), arguments, ""));
}

bool has_terminals() {
  int terminal = -1, other = -1;
  if (openpty(&terminal, &other, nullptr, nullptr, nullptr) != 0) return false;
  close(terminal);
  close(other);
  return true;
}

Finished Workplace::on_terminal(unsigned short columns, const std::vector<std::string>& arguments) const {
  const winsize size{24, columns, 0, 0};
  int terminal = -1;
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, &size);
  if (pid == 0) {
    if (chdir(path("").c_str()) != 0) _exit(99);
    setenv("TERM", "xterm", 1);
    for (const char* name : {"NO_COLOR", "COLUMNS"}) unsetenv(name);
    std::vector<char*> argv = {const_cast<char*>(ORRERY_PROGRAM)};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    execv(ORRERY_PROGRAM, argv.data());
    _exit(99);
  }
  if (pid < 0) throw std::runtime_error(std::string("no pseudo-terminal: ") + std::strerror(errno));
  std::string text;
  std::array<char, 4096> buffer;
  // Reading fails with EIO once the last process on the terminal has ended.
  for (ssize_t n; (n = ::read(terminal, buffer.data(), buffer.size())) > 0;) text.append(buffer.data(), n);
  int status = 0;
  waitpid(pid, &status, 0);
  close(terminal);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text, ""};
}

Finished Workplace::orrery(const std::vector<std::string>& arguments, const std::string& in) const {
  return wait(start(arguments, in));
}

}  // namespace orrery
