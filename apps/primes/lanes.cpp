#include "primes/lanes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <stdexcept>
#include <vector>

#include "primes/interrupt.hpp"
#include "primes/planned_crash.hpp"

namespace primes {
namespace {

constexpr int most_deaths = 20;  // without a single block in between

struct Lane {
    Block whole;
    std::uint64_t next;  // the first value not reported
    bool complete = false;
    int deaths = 0;
    std::optional<mp::Process> process = std::nullopt;
};

class Lanes {
  public:
    Lanes(Result& result, const LaneWays& ways) : result_(result), ways_(ways) {
        const Job& job = result.job;
        for (std::uint32_t i = 0; i < job.workers; ++i)
            if (const auto part = even_part(job.start, job.end, job.workers, i)) lanes_.push_back({*part, part->first});
        for (std::size_t i = 0; i < lanes_.size(); ++i) start(i);
    }

    Lanes(const Lanes&) = delete;
    /// When something was thrown, nobody waits for what the processes would still find.
    ~Lanes() {
        for (Lane& lane : lanes_)
            if (lane.process) lane.process->kill();
    }

    bool complete() const {
        return std::all_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) { return lane.complete; });
    }

    void collect() {
        ways_.collect([&](const Counted& counted) {
            const auto lane = std::find_if(lanes_.begin(), lanes_.end(), [&](const Lane& one) {
                return one.whole.first <= counted.block.first && counted.block.first <= one.whole.last;
            });
            result_.add(counted);
            lane->deaths = 0;
            lane->complete = counted.block.last == lane->whole.last;
            if (!lane->complete) lane->next = counted.block.last + 1;
        });
    }

    /// Puts another process in the place of each that ended too early. Collects, since the dead may have left reports.
    void replace_the_dead() {
        std::vector<std::size_t> ended;
        for (std::size_t i = 0; i < lanes_.size(); ++i)
            if (!lanes_[i].complete && !lanes_[i].process->is_alive()) ended.push_back(i);
        collect();
        for (const std::size_t i : ended) {
            Lane& lane = lanes_[i];
            if (lane.complete) continue;
            if (++lane.deaths > most_deaths)
                throw std::runtime_error(fmt::format("worker {} died {} times at {}", i + 1, lane.deaths, lane.next));
            result_.events.push_back(fmt::format("worker {} (pid {}) was lost (exit code {}); another went on from {}",
                                                 i + 1, *lane.process->pid(), *lane.process->exitcode(), lane.next));
            start(i);
        }
    }

    void wait(std::chrono::milliseconds patience) {
        for (Lane& lane : lanes_)
            if (!lane.complete) {
                lane.process->join_for(patience);
                return;
            }
    }

    void finish() {
        for (Lane& lane : lanes_) {
            lane.process->join();
            lane.process.reset();
        }
    }

    /// The pid, or 0 when that lane has nobody at work.
    int kill(std::size_t i) {
        if (i >= lanes_.size() || lanes_[i].complete || !lanes_[i].process->is_alive()) return 0;
        lanes_[i].process->kill();
        return *lanes_[i].process->pid();
    }

    void kill_all() {
        for (Lane& lane : lanes_) lane.process->kill();
        finish();
    }

  private:
    void start(std::size_t i) {
        Lane& lane = lanes_[i];
        const Block rest{lane.next, lane.whole.last, 0};
        while (true) try {
                auto process = ways_.make(i, rest);
                process.start();
                lane.process = std::move(process);
                result_.worker(lane.process->pid().value()).range = rest;
                return;
            } catch (const mp::Error&) {  // among other things: killed before it had begun
                if (++lane.deaths > most_deaths) throw;
            }
    }

    Result& result_;
    const LaneWays& ways_;
    std::vector<Lane> lanes_;
};

}  // namespace

Result count_in_lanes(Result result, const Settings& settings, Progress& progress, const LaneWays& ways) {
    Lanes lanes(result, ways);
    PlannedCrash crash(settings.crash_worker, [&](unsigned worker) { return lanes.kill(worker); });
    while (!lanes.complete()) {
        lanes.wait(crash.patience());
        lanes.replace_the_dead();
        if (Interrupt::requested()) {
            lanes.kill_all();
            lanes.collect();
            result.partial = !lanes.complete();
            return result;
        }
        if (!lanes.complete()) crash.look(result);
        progress.update(result.done, result.count);
    }
    lanes.finish();
    crash.finish(result);
    return result;
}

void leave_interrupts_to_the_caller() { std::signal(SIGINT, SIG_IGN); }

}  // namespace primes
