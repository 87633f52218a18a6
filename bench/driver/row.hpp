// One line of a benchmark: the same work done by the library and by its peers.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// Whether a figure is good when it is small (times, bytes) or when it is large (rates).
enum class Better { lower, higher };

/// One way to do the work.
struct Side {
    std::string name;
    /// Does the work once and returns its figure, in the row's unit. Throws when a result is wrong.
    std::function<double()> run;
    /// How to run a peer that is a program of its own by hand.
    std::string command{};
    /// Of a peer: the least ratio aimed at. Ratios are ours to the peer's, above 1 where ours is better.
    std::optional<double> target{};
    /// Run once before it counts.
    bool warm_up = true;
};

struct Row {
    std::string name;
    std::string unit;
    Better better;
    Side ours;
    std::vector<Side> peers{};
    /// The figure aimed at, in `unit`.
    std::optional<double> target{};
    /// Rows of one series, drawn as a line over x.
    std::string series{};
    double x = 0;
};

template <class Work>
double seconds(Work&& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// A figure in millions a second, of work that does `count` of something.
template <class Work>
std::function<double()> millions_a_second(double count, Work work) {
    return [count, work = std::move(work)]() mutable { return count / seconds(work) / 1e6; };
}

template <class Work>
std::function<double()> microseconds_each(double count, Work work) {
    return [count, work = std::move(work)]() mutable { return 1e6 * seconds(work) / count; };
}

template <class Work>
std::function<double()> milliseconds(Work work) {
    return [work = std::move(work)]() mutable { return 1e3 * seconds(work); };
}

}  // namespace bench
