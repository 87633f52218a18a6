// One task at a time: how long from submit to its result, with the worker awake and asleep.
#include <tbb/task_group.h>

#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include <multiprocessing/multiprocessing.hpp>

#include "driver/program.hpp"
#include "driver/statistics.hpp"
#include "driver/suite.hpp"
#include "peers/thread_pool.hpp"
#include "peers/work.hpp"

namespace {

// The time of a trip below which a share of them lies, in microseconds. Before each trip comes a pause.
template <class Trip>
std::function<double()> quantile_of_trips(int trips, std::chrono::microseconds pause, double share, Trip trip) {
    return [=] {
        std::vector<double> times;
        for (int i = 0; i < trips; ++i) {
            if (pause.count()) std::this_thread::sleep_for(pause);
            times.push_back(1e6 * bench::seconds([&] { trip(i); }));
        }
        std::sort(times.begin(), times.end());
        return bench::quantile(times, share);
    };
}

}  // namespace

int main(int argc, char** argv) {
    using namespace std::chrono_literals;
    bench::Suite suite("latency", argc, argv);
    mp::Pool pool(1);
    bench::ThreadPool thread(1);
    tbb::task_group group;
    auto ours = [&](int i) { pool.submit(bench::empty, i).get(); };
    auto threads = [&](int i) { thread.submit([i] { return bench::empty(i); }).get(); };
    auto tbb_trip = [&](int i) {
        volatile int out = 0;
        group.run([&] { out = i; });
        group.wait();
    };
    struct Share {
        double share;
        const char* name;
        std::optional<double> awake, asleep;  // targets
    };
    for (const auto& [share, name, awake, asleep] :
         {Share{0.5, "p50", 0.6, 42}, Share{0.99, "p99", {}, {}}, Share{0.999, "p99.9", {}, {}}}) {
        constexpr int trips = 20'000;
        suite.run({.name = std::string("submit and get, worker awake, ") + name,
                   .unit = "us",
                   .better = bench::Better::lower,
                   .ours = {"mp::Pool::submit", quantile_of_trips(trips, 0us, share, ours)},
                   .peers = {{"oneTBB task_group (the caller runs it)", quantile_of_trips(trips, 0us, share, tbb_trip)},
                             {"thread pool with mutex", quantile_of_trips(trips / 10, 0us, share, threads)}},
                   .target = awake});
        if (share > 0.99 && suite.quick()) continue;
        const int few = share > 0.99 ? 2000 : suite.quick() ? 100 : 400;
        suite.run({.name = std::string("submit and get, worker asleep, ") + name,
                   .unit = "us",
                   .better = bench::Better::lower,
                   .ours = {"mp::Pool::submit", quantile_of_trips(few, 1000us, share, ours)},
                   .peers = {{"thread pool with mutex", quantile_of_trips(few, 1000us, share, threads)}},
                   .target = asleep});
    }
    suite.run({.name = "submit and get, one after the other",
               .unit = "us",
               .better = bench::Better::lower,
               .ours = {"mp::Pool::apply", bench::microseconds_each(20'000,
                                                                    [&] {
                                                                        for (int i = 0; i < 20'000; ++i)
                                                                            pool.apply(bench::empty, i);
                                                                    })},
               .peers = {bench::script("Python Pool.apply", {"/usr/bin/python3", "bench/peers/apply.py", "2000"},
                                       [](double seconds) { return 1e6 * seconds / 2000; })}});
    return suite.finish();
}
