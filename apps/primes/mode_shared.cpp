// A process for each even part of the range; all add to one shared Value and put what they found into one Queue.
#include <multiprocessing/process.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include "primes/lanes.hpp"
#include "primes/modes.hpp"

namespace primes {
namespace {

void count_and_share(Job job, Block rest, mp::Value<std::uint64_t> total, mp::Queue<Counted> messages) {
    leave_interrupts_to_the_caller();
    Plan plan(job, rest.first, rest.last);
    while (const auto block = plan.next()) {
        const Counted counted = count_block(job.method, *block);
        // In this order: a worker that is killed in between has told what it found, and only the total lacks it.
        messages.put(counted);
        total += counted.count;
    }
}

}  // namespace

Result count_with_shared_state(const Job& job, const Settings& settings, Progress& progress) {
    mp::Value<std::uint64_t> total(0);
    mp::Queue<Counted> messages;
    LaneWays ways;
    ways.make = [&](std::size_t, Block rest) {
        return mp::Process({.start_method = settings.start_method}, count_and_share, job, rest, total, messages);
    };
    ways.collect = [&](const auto& receive) {
        while (const auto counted = messages.try_get()) receive(*counted);
    };
    const Result result = count_in_lanes(Result(job, "shared"), settings, progress, ways);
    if (!result.partial && result.events.empty() && total.load() != result.count)
        throw std::logic_error("the shared total differs from the sum of the messages");
    return result;
}

}  // namespace primes
