// Which callables the pool knows, and by what numbers the workers know them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <multiprocessing/detail/engine.hpp>

#include "pool/task.hpp"

namespace mp::pool {

/// One user at a time: under the pool's lock.
class CallableTable {
  public:
    /// The same callable with the same state is the same object, so that it is sent to a worker only once.
    std::shared_ptr<Callable> intern(const detail::CallableSpec& spec);
    /// Gives a callable of an older generation, which a task still waits for, a number of this one.
    void renew(Callable& callable);
    /// Numbers are valid in one generation; with the next, workers forget all they knew.
    std::uint64_t generation() const { return generation_; }

  private:
    std::unordered_map<std::string, std::shared_ptr<Callable>> callables_;
    const detail::EntryRecord* last_entry_ = nullptr;  // what was asked for last, most often asked for again
    std::vector<std::byte> last_key_;
    std::shared_ptr<Callable> last_callable_;
    std::uint32_t next_ = 0;
    std::uint64_t generation_ = 1;
};

}  // namespace mp::pool
