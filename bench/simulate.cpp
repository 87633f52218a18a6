// The scheduler with more workers than any machine has: a simulation with measured costs. The scheduler itself is the
// library's (src/pool/schedule.hpp), a pure function; time, workers and the wire are made up here.
//
//     bench_simulate [--most WORKERS] [--parent NS] [--agent NS] [--wire US] [--tasks N] [--svg FILE]
//
// One parent hands out every task itself, and is the only one who works in it: a task costs it `parent` nanoseconds,
// for handing out and taking back together. In a tree, a coordinator leases batches to agents, one for each 250
// workers; an agent is a parent of its workers, and a batch costs the coordinator `agent` nanoseconds and travels for
// `wire`. The figure is the share of the workers' time that is work, from the first task until no more is waiting.
#include <CLI/CLI.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <queue>
#include <string>
#include <vector>

#include "driver/plot.hpp"
#include "pool/schedule.hpp"

namespace {

using mp::pool::Schedule;

struct Costs {
    double parent_ns = 250;  // a task, handed out and taken back by one process: bench/growth.cpp
    double batch_ns = 5000;  // a batch over the network, at the coordinator: two messages
    double wire_us = 20;     // one way
};

// Lengths of tasks: even between half and one and a half of the mean, the same in each run.
class Lengths {
  public:
    explicit Lengths(double mean) : mean_(mean) {}
    double next() {
        state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
        return mean_ * (0.5 + static_cast<double>(state_ >> 11) / 9007199254740992.0);
    }

  private:
    double mean_;
    std::uint64_t state_ = 1;
};

// One process that hands out tasks. Its time is its own: what comes while it works waits.
struct Parent {
    explicit Parent(std::size_t workers) : schedule(workers), free_at(workers, 0.0) {
        for (std::size_t worker = 0; worker < workers; ++worker) schedule.open(worker);
    }
    Schedule schedule;
    std::vector<double> free_at;  // when each worker will have run all it was given
    double now = 0;               // when it can do the next thing
};

struct Event {
    double at;
    std::uint32_t parent, worker;  // parent 0 is the root; its workers are agents in a tree
    double length;
    bool arrives = false;  // a batch at an agent
    bool operator<(const Event& other) const { return at > other.at; }
};

struct Outcome {
    double efficiency;
    double root_busy;  // share of the time that the root was at work
};

/// `agents` 0: one parent. Times in nanoseconds.
class Simulation {
  public:
    Simulation(std::size_t workers, std::size_t agents, double mean, double tasks_a_worker, const Costs& costs)
        : costs_(costs), lengths_(mean), workers_(workers), tree_(agents > 0), mean_(mean) {
        parents_.emplace_back(tree_ ? agents : workers);
        if (tree_) {
            // Four tasks for each worker, or more where the coordinator could not serve all agents in that time.
            const double each = std::max(4.0, 2 * static_cast<double>(agents) * costs.batch_ns / mean);
            batch_ = static_cast<std::uint64_t>(each * static_cast<double>(workers / agents));
            tasks_a_worker = std::max(tasks_a_worker, 5 * each);
        }
        left_ = static_cast<std::uint64_t>(tasks_a_worker * static_cast<double>(workers));
        for (std::size_t i = 0; i < agents; ++i) parents_.emplace_back(workers / agents);
        open_.assign(agents, {});
    }

    std::uint64_t tasks() const { return left_; }

    Outcome run() {
        // Everything is submitted at once; a parent looks at the results that have come before it hands out more.
        for (std::uint64_t i = 0; i < left_; i += batch_) parents_[0].schedule.submit(i);
        hand_out(0);
        while (parents_[0].schedule.waiting() > 0) {
            const Event event = events_.top();
            events_.pop();
            if (event.arrives)
                arrive(event);
            else
                finish(event);
        }
        // What is still to come, or under way, is no work yet.
        const double end = parents_[0].now;
        for (; !events_.empty(); events_.pop()) work_ -= std::clamp(events_.top().at - end, 0.0, events_.top().length);
        return {std::min(1.0, work_ / (end * static_cast<double>(workers_))), std::min(1.0, root_work_ / end)};
    }

  private:
    void spend(std::uint32_t parent, double ns) {
        parents_[parent].now += ns;
        if (parent == 0) root_work_ += ns;
    }

    double cost(std::uint32_t parent) const { return (tree_ && parent == 0 ? costs_.batch_ns : costs_.parent_ns) / 2; }

    void hand_out(std::uint32_t parent) {
        Parent& from = parents_[parent];
        while (const auto given = from.schedule.next()) {
            spend(parent, cost(parent));
            const auto worker = static_cast<std::uint32_t>(given->worker);
            if (tree_ && parent == 0) {
                events_.push({from.now + 1e3 * costs_.wire_us, worker + 1, worker, 0, true});
                continue;
            }
            const double length = lengths_.next();
            double& free = from.free_at[worker];
            free = std::max(free, from.now) + length;
            work_ += length;
            events_.push({free, parent, worker, length});
        }
    }

    void arrive(const Event& event) {
        Parent& agent = parents_[event.parent];
        agent.now = std::max(agent.now, event.at);
        open_[event.worker].push(batch_);
        for (std::uint64_t i = 0; i < batch_; ++i) agent.schedule.submit(i);
        hand_out(event.parent);
    }

    void finish(const Event& event) {
        Parent& parent = parents_[event.parent];
        parent.now = std::max(parent.now, event.at);
        spend(event.parent, cost(event.parent));
        const bool is_batch = tree_ && event.parent == 0;
        parent.schedule.done(event.worker, static_cast<std::uint64_t>(is_batch ? batch_time() : event.length));
        hand_out(event.parent);
        if (!tree_ || is_batch) return;
        // The agent answers when as many tasks are done as the oldest batch had.
        auto& batches = open_[event.parent - 1];
        if (--batches.front() > 0) return;
        batches.pop();
        events_.push({parent.now + 1e3 * costs_.wire_us, 0, event.parent - 1, 0});
    }

    double batch_time() const {
        return mean_ * static_cast<double>(batch_) / static_cast<double>(workers_ / open_.size());
    }

    const Costs costs_;
    Lengths lengths_;
    const std::size_t workers_;
    const bool tree_;
    const double mean_;
    std::uint64_t left_ = 0;
    std::uint64_t batch_ = 1;
    std::vector<Parent> parents_;
    std::vector<std::queue<std::uint64_t>> open_;  // of each agent: tasks left of each batch
    std::priority_queue<Event> events_;
    double work_ = 0, root_work_ = 0;
};

std::string length_name(double ns) {
    if (ns < 1e6) return std::to_string(static_cast<int>(ns / 1e3)) + " us";
    if (ns < 1e9) return std::to_string(static_cast<int>(ns / 1e6)) + " ms";
    return std::to_string(static_cast<int>(ns / 1e9)) + " s";
}

constexpr const char* style = R"(<style>
text { fill: #1d2330; font: 12.5px system-ui, sans-serif; } .tick { fill: #697386; font-size: 11.5px; } .grid { stroke: #d5dbe5; }
polyline { fill: none; stroke-width: 2; } polyline.line0 { stroke: #1f6fb2; } polyline.line1 { stroke: #c2410c; }
polyline.line2 { stroke: #2f855a; } polyline.line3 { stroke: #7c4dbd; } polyline.line4 { stroke: #a16207; }
circle.line0 { fill: #1f6fb2; } circle.line1 { fill: #c2410c; } circle.line2 { fill: #2f855a; } circle.line3 { fill: #7c4dbd; }
circle.line4 { fill: #a16207; }
@media (prefers-color-scheme: dark) { text { fill: #e4e8ef; } .tick { fill: #98a2b3; } .grid { stroke: #38414f; } }
</style>)";

bool write_svg(const std::string& name, const std::vector<bench::Line>& lines) {
    std::string svg = bench::line_plot("workers", "share of the workers' time that is work", lines);
    svg.insert(svg.find('>') + 1, style);
    svg.insert(4, " xmlns='http://www.w3.org/2000/svg'");
    std::ofstream file(name);
    file << svg;
    return static_cast<bool>(file.flush());
}

}  // namespace

int main(int argc, char** argv) {
    Costs costs;
    std::size_t most = 100'000;
    double tasks_each = 20;
    std::string svg, json;
    bool quick = false;
    CLI::App arguments("simulates the scheduler with many workers");
    arguments.add_option("--most", most, "workers, at most")->check(CLI::Range(1000, 1'000'000));
    arguments.add_option("--parent", costs.parent_ns, "nanoseconds a task costs its parent");
    arguments.add_option("--agent", costs.batch_ns, "nanoseconds a batch costs the coordinator");
    arguments.add_option("--wire", costs.wire_us, "microseconds a message travels");
    arguments.add_option("--tasks", tasks_each, "for each worker");
    arguments.add_option("--svg", svg, "draw the figures into this file");
    arguments.add_flag("--quick", quick, "up to 10000 workers");
    arguments.add_option("--json", json, "understood and left alone: there is nothing to compare");
    CLI11_PARSE(arguments, argc, argv);
    if (quick) most = 10'000;

    std::printf("%-9s %9s   %-28s %-28s\n", "tasks of", "workers", "one parent: efficiency, busy",
                "tree: efficiency, root busy");
    std::vector<bench::Line> lines;
    for (const double mean : {1e5, 1e6, 1e7, 1e8}) {
        bench::Line one{length_name(mean) + ", one parent", {}}, tree{length_name(mean) + ", tree", {}};
        for (std::size_t workers = 1000; workers <= most; workers *= 10) {
            // As many for each agent as it can feed, and no more than a node or a rack has.
            const double fed = std::clamp(0.8 * mean / costs.parent_ns, 1.0, workers > 100'000 ? 1000.0 : 250.0);
            const std::size_t agents =
                std::max<std::size_t>(2, static_cast<std::size_t>(static_cast<double>(workers) / fed));
            const Outcome alone = Simulation(workers, 0, mean, tasks_each, costs).run();
            std::printf("%-9s %9zu   %8.4f %8.4f            ", length_name(mean).c_str(), workers, alone.efficiency,
                        alone.root_busy);
            one.points.emplace_back(static_cast<double>(workers), alone.efficiency);
            Simulation with_agents(workers - workers % agents, agents, mean, tasks_each, costs);
            if (with_agents.tasks() > 25'000'000) {
                std::printf("too many tasks to simulate: a third level is needed\n");
                continue;
            }
            const Outcome together = with_agents.run();
            std::printf("%8.4f %8.4f  (%zu agents)\n", together.efficiency, together.root_busy, agents);
            tree.points.emplace_back(static_cast<double>(workers), together.efficiency);
            std::fflush(stdout);
        }
        lines.push_back(std::move(one));
        if (mean < 1e6) lines.push_back(std::move(tree));  // those of longer tasks lie above it
    }
    if (!svg.empty() && !write_svg(svg, lines)) {
        std::fprintf(stderr, "cannot write %s\n", svg.c_str());
        return 1;
    }
}
