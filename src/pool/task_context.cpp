#include "pool/task_context.hpp"

#include <cstdio>
#include <exception>
#include <optional>

#include <multiprocessing/errors.hpp>
#include <multiprocessing/outcome.hpp>
#include <multiprocessing/task_rng.hpp>
#include <multiprocessing/worker_state.hpp>

#include "os/function_name.hpp"

namespace mp::pool {

namespace {

thread_local WorkerContext* this_worker = nullptr;
thread_local TaskScope* this_task = nullptr;

// The generator of this_task, made when a task or element first asks for it.
struct Generator {
    std::uint64_t index = 0;
    std::optional<TaskRng> rng;
};
thread_local Generator generator;

}  // namespace

WorkerContext& worker_context() {
    // Never destroyed: a task may call exit() in the midst of it.
    static auto* const process = new WorkerContext;  // NOLINT(cppcoreguidelines-owning-memory)
    return this_worker ? *this_worker : *process;
}

WorkerScope::WorkerScope(WorkerContext& context) : before_(this_worker) { this_worker = &context; }
WorkerScope::~WorkerScope() { this_worker = before_; }

TaskScope::TaskScope(std::uint64_t given_seed, std::uint64_t given_call, std::uint64_t given_index,
                     const std::atomic<std::uint64_t>* given_current)
    : seed(given_seed), call(given_call), index(given_index), current(given_current), before_(this_task) {
    this_task = this;
    // Another attempt of the same element begins anew as well.
    generator.rng.reset();
}

TaskScope::~TaskScope() {
    this_task = before_;
    generator.rng.reset();
}

void WorkerContext::at_exit(std::function<void()> action) {
    const std::scoped_lock lock(mutex_);
    at_exit_.push_back(std::move(action));
}

void WorkerContext::finish() noexcept {
    const WorkerScope scope(*this);
    const auto next = [&] {
        const std::scoped_lock lock(mutex_);
        std::function<void()> action;
        if (at_exit_.empty()) return action;
        action = std::move(at_exit_.back());
        at_exit_.pop_back();
        return action;
    };
    while (const auto action = next()) {
        try {
            action();
        } catch (...) {
            std::fprintf(stderr, "multiprocessing: an action at the end of a worker failed: %s\n",
                         Failure(std::current_exception()).to_string().c_str());
        }
    }
    state.reset();
}

}  // namespace mp::pool

namespace mp {

TaskRng& task_rng() {
    const auto* task = pool::this_task;
    if (!task) throw Error("mp::task_rng() was called outside of a pool's task: make an mp::TaskRng with a seed there");
    const std::uint64_t index = task->current ? task->current->load(std::memory_order_relaxed) : task->index;
    auto& generator = pool::generator;
    if (!generator.rng || generator.index != index) {
        generator.index = index;
        generator.rng.emplace(task->seed, task->call, index);
    }
    return *generator.rng;
}

void at_worker_exit(std::function<void()> action) { pool::worker_context().at_exit(std::move(action)); }

namespace detail {

void set_worker_state(std::shared_ptr<void> state, const std::type_info& type) {
    auto& worker = pool::worker_context();
    worker.state = std::move(state);
    worker.type = &type;
}

void* worker_state(const std::type_info& type) {
    const auto& worker = pool::worker_context();
    if (!worker.state)
        throw Error("mp::worker_state<" + os::type_name(type) +
                    ">: the pool's initializer has returned no such object here");
    if (*worker.type != type)
        throw Error("mp::worker_state<" + os::type_name(type) + ">: the pool's initializer returned a " +
                    os::type_name(*worker.type));
    return worker.state.get();
}

}  // namespace detail

}  // namespace mp
