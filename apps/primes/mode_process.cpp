// A process for each even part of the range, each with a pipe of its own to report through.
#include <multiprocessing/connection.hpp>
#include <multiprocessing/process.hpp>

#include <map>
#include <utility>

#include "primes/lanes.hpp"
#include "primes/modes.hpp"

namespace primes {
namespace {

using Reports = mp::Connection<void, Counted>;
using Reporter = mp::Connection<Counted, void>;

void count_and_send(Job job, Block rest, Reporter reports) {
    leave_interrupts_to_the_caller();
    Plan plan(job, rest.first, rest.last);
    while (const auto block = plan.next()) reports.send(count_block(job.method, *block));
}

}  // namespace

Result count_in_processes(const Job& job, const Settings& settings, Progress& progress) {
    std::map<std::size_t, Reports> incoming;
    LaneWays ways;
    ways.make = [&](std::size_t lane, Block rest) {
        auto [ours, theirs] = mp::Pipe<void, Counted>();
        incoming.insert_or_assign(lane, std::move(ours));
        return mp::Process({.start_method = settings.start_method}, count_and_send, job, rest, std::move(theirs));
    };
    ways.collect = [&](const auto& receive) {
        for (auto& [lane, reports] : incoming) try {
                while (reports.poll()) receive(reports.recv());
            } catch (const mp::Closed&) {  // the process has ended; whether too early, its lane knows
            }
    };
    return count_in_lanes(Result(job, "process"), settings, progress, ways);
}

}  // namespace primes
