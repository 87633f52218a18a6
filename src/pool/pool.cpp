#include <multiprocessing/pool.hpp>

#include <unistd.h>

#include <exception>

#include "os/function_name.hpp"
#include "os/symbolize.hpp"
#include "pool/core.hpp"
#include "process/worker_mode.hpp"

namespace mp {

namespace {

std::shared_ptr<detail::Engine> make_engine(PoolOptions options) {
    if (const auto make = options.engine.internal_make()) return make(std::move(options));
    auto core = std::make_shared<detail::PoolCore>(std::move(options));
    // A pool in a global is made in every copy of the program too; there it waits until somebody uses it.
    if (process::role() != process::Role::copy_before_main) core->start();
    return core;
}

}  // namespace

Pool::Pool(PoolOptions options) : engine_(make_engine(std::move(options))), exceptions_(std::uncaught_exceptions()) {}

Pool::Pool(Pool&& other) noexcept = default;

Pool& Pool::operator=(Pool&& other) noexcept {
    std::swap(engine_, other.engine_);
    std::swap(exceptions_, other.exceptions_);
    return *this;
}

Pool::~Pool() {
    if (engine_) engine_->leave(std::uncaught_exceptions() > exceptions_);
}

void Pool::close() { engine_->close(); }
void Pool::join() { engine_->join(); }
void Pool::terminate() { engine_->terminate(); }
int Pool::workers() const { return engine_->workers(); }
PoolStats Pool::stats() const { return engine_->stats(); }
std::vector<pid_t> Pool::pids() const { return engine_->pids(); }

}  // namespace mp

namespace mp::pool {

namespace {

// The plain function's own name, where the program has symbols.
std::string name_of(const void* code) {
    const auto address = reinterpret_cast<std::uintptr_t>(code) + 1;  // as if called from its first instruction
    const auto frames = os::symbolize(os::locate(&address, 1));
    return frames.empty() ? std::string() : frames.back().function;
}

}  // namespace

std::string callable_name(const void* code, const std::type_info& type) {
    if (code)
        if (std::string name = name_of(code); !name.empty()) return name;
    return os::type_name(type);
}

const std::string& Callable::name() const {
    if (name_.empty()) name_ = callable_name(code, *type);
    return name_;
}

}  // namespace mp::pool
