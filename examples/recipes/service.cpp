// A service in the background that is started again when it dies, but not for ever: too many deaths in too short a time
// mean that starting it again does not help (Erlang's restart intensity).
#include <multiprocessing/connection.hpp>
#include <multiprocessing/process.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <stdexcept>
#include <utility>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Answers each number with its square; 13 is too much for it.
void serve(mp::Connection<int> requests) {
    try {
        while (true) {
            const int number = requests.recv();
            if (number == 13) std::abort();
            requests.send(number * number);
        }
    } catch (const mp::Closed&) {
        // The supervisor has left.
    }
}

class Supervised {
  public:
    Supervised(std::size_t restarts, Clock::duration within) : restarts_(restarts), within_(within) { start(); }

    /// The answer; none when the service died of the question. Throws when it dies too often.
    std::optional<int> ask(int number) {
        try {
            requests_->send(number);
            return requests_->recv();
        } catch (const mp::Closed&) {
            service_->join();
            std::printf("service %s on %d\n", service_->exitcode() == -6 ? "aborted" : "ended", number);
            restart();
            return std::nullopt;
        }
    }

  private:
    void start() {
        auto [mine, its] = mp::Pipe<int>();
        requests_.emplace(std::move(mine));
        service_.emplace(mp::ProcessOptions{.name = "squares"}, serve, std::move(its));
        service_->start();
    }

    void restart() {
        const auto now = Clock::now();
        deaths_.push_back(now);
        while (deaths_.front() + within_ < now) deaths_.pop_front();
        if (deaths_.size() > restarts_) throw std::runtime_error("the service dies too often");
        start();
        std::puts("service started again");
    }

    const std::size_t restarts_;
    const Clock::duration within_;
    std::deque<Clock::time_point> deaths_;
    // In this order: the pipe is closed before the process is joined.
    std::optional<mp::Process> service_;
    std::optional<mp::Connection<int>> requests_;
};

int main() {
    Supervised service(2, 10s);
    try {
        for (int number : {2, 3, 13, 4, 13, 5, 13, 6})
            if (const auto answer = service.ask(number)) std::printf("%d squared is %d\n", number, *answer);
    } catch (const std::runtime_error& error) {
        std::printf("%s\n", error.what());
    }
}
