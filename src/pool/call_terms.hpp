// What was asked of one call: what the call says, and what the pool says where the call is silent.
#pragma once

#include <chrono>
#include <string>

#include <multiprocessing/pool_options.hpp>

namespace mp::pool {

struct CallTerms {
    std::string label{};
    Retries retries{};
    std::chrono::nanoseconds task_timeout = detail::forever;
    std::chrono::nanoseconds timeout = detail::forever;

    bool timed() const { return task_timeout != detail::forever; }
};

/// The pool's own. Throws std::invalid_argument for what makes no sense.
CallTerms terms_of(const PoolOptions& pool);
/// Those of one call. Throws likewise.
CallTerms terms_of(const CallOptions& call, const CallTerms& pool);
/// Whether a call says anything at all beside its chunk size.
bool says_nothing(const CallOptions& call);

}  // namespace mp::pool
