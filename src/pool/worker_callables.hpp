// What a worker can be asked to run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <unordered_map>
#include <utility>

#include <multiprocessing/detail/pool_entry.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp::pool {

struct WorkerCallable {
    detail::PoolEntry::Signature* code;
    void* object;
};

/// The callables that the caller has defined, by number.
class WorkerCallables {
  public:
    WorkerCallables() { made_.max_load_factor(0.5F); }

    /// Makes one from its bytes. One that cannot be made is an error of each task that uses it: of at().
    void define(std::uint32_t number, serial::Reader& reader);
    void cannot_define(std::uint32_t number, std::exception_ptr reason) { broken_[number] = std::move(reason); }
    void forget(std::uint32_t number);
    void forget_all();
    /// Valid until the next of the above. Throws why it could not be made.
    const WorkerCallable& at(std::uint32_t number) const {
        if (const auto broken = broken_.find(number); broken != broken_.end()) std::rethrow_exception(broken->second);
        return made_.at(number);
    }

  private:
    std::unordered_map<std::uint32_t, WorkerCallable> made_;
    std::unordered_map<std::uint32_t, std::exception_ptr> broken_;
};

}  // namespace mp::pool
