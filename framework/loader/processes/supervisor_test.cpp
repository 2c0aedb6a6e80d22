#include "loader/processes/supervisor.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

namespace orrery {
namespace {

struct Heard {
  std::vector<std::string> messages;
  std::map<size_t, int> ended;
  std::vector<size_t> late;

  Supervisor::Listener listener() {
    return {.on_message =
                [this](size_t child, const std::string& text) {
                  messages.push_back(std::to_string(child) + ":" + MessageReader(text).text());
                },
            .on_end =
                [this](size_t child, int status, bool timed_out) {
                  ended[child] = status;
                  if (timed_out) late.push_back(child);
                }};
  }
};

Message text(const std::string& content) { return Message().add(content); }

void wait_for_all(Supervisor& supervisor) {
  while (supervisor.running() > 0) supervisor.wait();
}

TEST(Supervisor, PassesMessagesOnInOrderAndTellsOfTheEnd) {
  Heard heard;
  Supervisor supervisor(heard.listener());
  supervisor.spawn([](int socket) {
    send(socket, text("one"));
    send(socket, text(std::string(100'000, 'x')));
    send(socket, text("three"));
  });
  wait_for_all(supervisor);
  ASSERT_EQ(heard.messages.size(), 3u);
  EXPECT_EQ(heard.messages[0], "0:one");
  EXPECT_EQ(heard.messages[1].size(), 100'002u);
  EXPECT_EQ(heard.messages[2], "0:three");
  EXPECT_TRUE(WIFEXITED(heard.ended.at(0)));
  EXPECT_EQ(WEXITSTATUS(heard.ended.at(0)), 0);
}

TEST(Supervisor, ChildrenAnswerWhatTheyAreSent) {
  Heard heard;
  Supervisor supervisor(heard.listener());
  const auto echo = [](int socket) {
    EXPECT_TRUE(in_child());
    send(socket, text(MessageReader(receive(socket).value()).text() + "!"));
  };
  const size_t first = supervisor.spawn(echo), second = supervisor.spawn(echo);
  supervisor.send(second, text("b"));
  supervisor.send(first, text("a"));
  wait_for_all(supervisor);
  std::sort(heard.messages.begin(), heard.messages.end());
  EXPECT_EQ(heard.messages, (std::vector<std::string>{"0:a!", "1:b!"}));
  EXPECT_FALSE(in_child());
}

// A sibling that held the other's socket would keep its end from being seen.
TEST(Supervisor, AChildSeesTheEndOfItsParentOnly) {
  Heard heard;
  Supervisor supervisor(heard.listener());
  supervisor.spawn([](int socket) { receive(socket); });
  supervisor.spawn([](int) {});
  while (heard.ended.empty()) supervisor.wait();
  EXPECT_TRUE(heard.ended.contains(1));
  EXPECT_EQ(supervisor.running(), 1u);
}

TEST(Supervisor, TellsHowAChildEnded) {
  Heard heard;
  Supervisor supervisor(heard.listener());
  const size_t killed = supervisor.spawn([](int) { ::raise(SIGSEGV); });
  const size_t threw = supervisor.spawn([](int) { throw std::runtime_error("nobody hears this"); });
  const size_t left = supervisor.spawn([](int) { ::_exit(7); });
  wait_for_all(supervisor);
  EXPECT_TRUE(WIFSIGNALED(heard.ended.at(killed)));
  EXPECT_EQ(WTERMSIG(heard.ended.at(killed)), SIGSEGV);
  EXPECT_EQ(WEXITSTATUS(heard.ended.at(threw)), 1);
  EXPECT_EQ(WEXITSTATUS(heard.ended.at(left)), 7);
  EXPECT_TRUE(heard.late.empty());
}

TEST(Supervisor, EndsAChildThatTakesTooLong) {
  Heard heard;
  Supervisor supervisor(heard.listener());
  const size_t slow = supervisor.spawn([](int) { ::sleep(60); }, std::chrono::seconds(1));
  const auto start = std::chrono::steady_clock::now();
  wait_for_all(supervisor);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_EQ(heard.late, std::vector<size_t>{slow});
  EXPECT_EQ(WTERMSIG(heard.ended.at(slow)), SIGKILL);
}

TEST(Supervisor, LeavesNobodyBehind) {
  pid_t pid = 0;
  {
    Supervisor supervisor({.on_message =
                               [&](size_t, const std::string& message) {
                                 pid = static_cast<pid_t>(MessageReader(message).number());
                               },
                           .on_end = [](size_t, int, bool) {}});
    supervisor.spawn([](int socket) {
      send(socket, Message().add(static_cast<uint64_t>(::getpid())));
      ::sleep(60);
    });
    while (pid == 0) supervisor.wait();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_NE(::kill(pid, 0), 0);
}

TEST(Supervisor, AMessageToAChildThatHasEndedIsDropped) {
  Heard heard;
  Supervisor supervisor(heard.listener());
  const size_t child = supervisor.spawn([](int) {});
  ::usleep(100'000);
  EXPECT_NO_THROW(supervisor.send(child, text("late")));
  wait_for_all(supervisor);
}

}  // namespace
}  // namespace orrery
