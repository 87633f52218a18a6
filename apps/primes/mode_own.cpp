// Workers of a class of our own: each stays, takes blocks from its pipe and sends back what it found.
#include <fmt/format.h>
#include <multiprocessing/connection.hpp>
#include <multiprocessing/process.hpp>

#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "primes/interrupt.hpp"
#include "primes/lanes.hpp"
#include "primes/modes.hpp"
#include "primes/planned_crash.hpp"

namespace primes {
namespace {

using Task = std::optional<Block>;  // nothing: close
using MainEnd = mp::Connection<Task, Counted>;
using WorkerEnd = mp::Connection<Counted, Task>;

class OwnWorker : public mp::Process {
  public:
    OwnWorker(Method method, WorkerEnd pipe) : method_(method), pipe_(std::move(pipe)) {}

    void run() override {
        leave_interrupts_to_the_caller();
        while (const Task task = pipe_.recv()) pipe_.send(count_block(method_, *task));
    }

  private:
    Method method_;
    WorkerEnd pipe_;
};

constexpr std::size_t ahead = 4;  // blocks that a worker holds, so that it need not wait for the next
constexpr int most_deaths = 20;   // without a single block in between

/// A place for a worker: the one that has it now, and what was sent to it and not answered.
class Place {
  public:
    explicit Place(Method method) : method_(method) { start(); }
    Place(Place&&) = default;
    /// A worker that is left over, since something was thrown, waits for a block that never comes.
    ~Place() {
        if (worker_) give_up();
    }

    bool idle() const { return sent_.empty(); }
    bool wants_more() const { return sent_.size() < ahead; }
    int pid() const { return worker_->pid().value_or(0); }

    void send(const Block& block) {
        sent_.push_back(block);
        try {
            pipe_->send(block);
        } catch (const mp::Closed&) {  // it has died; collect() will see that
        }
    }

    bool wait(std::chrono::milliseconds limit) {
        try {
            return pipe_->poll(limit);
        } catch (const mp::Closed&) {
            return true;
        }
    }

    void collect(Result& result) {
        try {
            while (pipe_->poll()) {
                result.add(pipe_->recv());
                sent_.pop_front();
                deaths_ = 0;
            }
        } catch (const mp::Closed&) {
        }
    }

    /// Starts another worker in the place of one that died, with the same blocks to do.
    void revive(Result& result) {
        if (worker_->is_alive()) return;
        collect(result);  // what it had sent before
        if (++deaths_ > most_deaths) throw std::runtime_error("own workers die as soon as they are started");
        result.events.push_back(fmt::format("worker with pid {} was lost (exit code {}); another has taken its place",
                                            pid(), worker_->exitcode().value_or(0)));
        start();
        try {
            for (const Block& block : sent_) pipe_->send(block);
        } catch (const mp::Closed&) {  // dead already; the next look revives it again
        }
    }

    int kill() {
        if (!worker_->is_alive()) return 0;
        worker_->kill();
        return pid();
    }

    void close() {
        try {
            pipe_->send(Task());
        } catch (const mp::Closed&) {
        }
        worker_->join();
        worker_.reset();
    }

    void give_up() {
        worker_->kill();
        worker_->join();
        worker_.reset();
    }

  private:
    void start() {
        while (true) try {
                auto [ours, theirs] = mp::Pipe<Task, Counted>();
                auto worker = std::make_unique<OwnWorker>(method_, std::move(theirs));
                worker->start();
                worker_ = std::move(worker);
                pipe_.emplace(std::move(ours));
                return;
            } catch (const mp::Error&) {  // among other things: killed before it had begun
                if (++deaths_ > most_deaths) throw;
            }
    }

    Method method_;
    std::unique_ptr<OwnWorker> worker_;
    std::optional<MainEnd> pipe_;
    std::deque<Block> sent_;
    int deaths_ = 0;
};

}  // namespace

Result count_with_own_workers(const Job& job, const Settings& settings, Progress& progress) {
    Result result(job, "own");
    std::vector<Place> places;
    for (std::uint32_t i = 0; i < job.workers; ++i) places.emplace_back(job.method);
    PlannedCrash crash(settings.crash_worker,
                       [&](unsigned worker) { return places[worker].idle() ? 0 : places[worker].kill(); });
    Plan plan(job);
    bool more = true;
    while (true) {
        for (Place& place : places)
            while (more && place.wants_more()) {
                if (const auto block = plan.next())
                    place.send(*block);
                else
                    more = false;
            }
        const auto busy = std::find_if(places.begin(), places.end(), [](const Place& p) { return !p.idle(); });
        if (busy == places.end()) break;
        busy->wait(std::chrono::milliseconds(1));  // the others have blocks enough for so long
        for (Place& place : places) {
            place.collect(result);
            if (!place.idle()) place.revive(result);
        }
        if (Interrupt::requested()) {
            for (Place& place : places) place.give_up();
            result.partial = true;
            return result;
        }
        crash.look(result);
        progress.update(result.done, result.count);
    }
    for (Place& place : places) place.close();
    crash.finish(result);
    return result;
}

}  // namespace primes
