// Chapter 8: a worker that stays. It gets its tasks through a pipe, sends the results back, and ends when told to.
#include <multiprocessing/connection.hpp>
#include <multiprocessing/process.hpp>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>
#include <variant>
#include <vector>

using namespace std::chrono_literals;

using Message = std::variant<std::vector<int>, std::string>;  // values to work on, or words
using Connection = mp::Connection<Message>;

class OwnWorker : public mp::Process {
  public:
    explicit OwnWorker(Connection pipe) : pipe_worker_(std::move(pipe)) {}

    void run() override {
        while (is_running_) {
            if (!pipe_worker_.poll(500ms)) continue;  // waits up to half a second for a task
            Message task = pipe_worker_.recv();
            if (auto* values = std::get_if<std::vector<int>>(&task)) {
                for (int& value : *values) ++value;
                pipe_worker_.send(task);
            } else if (std::get<std::string>(task) == "close") {
                is_running_ = false;
            }
        }
        pipe_worker_.send("worker is closed!");
    }

  private:
    Connection pipe_worker_;
    bool is_running_ = true;
};

void print_answer(const char* title, Connection& pipe) {
    if (!pipe.poll(2s)) return;
    const Message answer = pipe.recv();
    std::printf("%s:", title);
    for (int value : std::get<std::vector<int>>(answer)) std::printf(" %d", value);
    std::printf("\n");
}

int main() {
    auto [pipe_main, pipe_worker] = mp::Pipe<Message>();
    OwnWorker worker(std::move(pipe_worker));
    worker.start();

    pipe_main.send(std::vector{0, 1, 2, 3, 4, 5});
    print_answer("results for task 1", pipe_main);

    pipe_main.send(std::vector{5, 5, 5, 1});
    print_answer("results for task 2", pipe_main);

    pipe_main.send("close");
    if (pipe_main.poll(2s)) std::puts(std::get<std::string>(pipe_main.recv()).c_str());
    worker.join();
}
