#include "pool/worker_callables.hpp"

namespace mp::pool {

namespace {

void drop(const WorkerCallable& callable) {
    if (!callable.code) return;
    detail::PoolCall call{.step = detail::PoolCall::Step::drop, .object = callable.object};
    callable.code(call);
}

}  // namespace

void WorkerCallables::define(std::uint32_t number, serial::Reader& reader) {
    WorkerCallable& callable = made_[number];
    callable = {};
    const auto id = serial::decode<detail::EntryId>(reader);
    const auto& entry = detail::resolve<detail::PoolEntry>(id);
    detail::PoolCall call{.step = detail::PoolCall::Step::make, .reader = &reader};
    entry.code(call);
    callable = {entry.code, call.object};
}

void WorkerCallables::forget(std::uint32_t number) {
    if (const auto found = made_.find(number); found != made_.end()) {
        drop(found->second);
        made_.erase(found);
    }
    broken_.erase(number);
}

void WorkerCallables::forget_all() {
    for (const auto& [number, callable] : made_) drop(callable);
    made_.clear();
    broken_.clear();
}

}  // namespace mp::pool
