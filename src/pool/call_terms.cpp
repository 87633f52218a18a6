#include "pool/call_terms.hpp"

#include <optional>
#include <stdexcept>

#include "pool/retry_policy.hpp"

namespace mp::pool {

namespace {

std::chrono::nanoseconds limit_of(const std::optional<TimeLimit>& limit, std::chrono::nanoseconds otherwise) {
    return limit ? limit->nanoseconds() : otherwise;
}

void require_sense(const CallTerms& terms) {
    check(terms.retries);
    if (terms.task_timeout <= std::chrono::nanoseconds(0)) throw std::invalid_argument("task_timeout must be more than 0");
}

}  // namespace

CallTerms terms_of(const PoolOptions& pool) {
    CallTerms terms;
    terms.retries = pool.retries;
    terms.task_timeout = limit_of(pool.task_timeout, detail::forever);
    terms.timeout = limit_of(pool.timeout, detail::forever);
    require_sense(terms);
    return terms;
}

CallTerms terms_of(const CallOptions& call, const CallTerms& pool) {
    CallTerms terms;
    terms.label = call.label;
    terms.retries = call.retries ? *call.retries : pool.retries;
    terms.task_timeout = limit_of(call.task_timeout, pool.task_timeout);
    terms.timeout = limit_of(call.timeout, pool.timeout);
    require_sense(terms);
    return terms;
}

bool says_nothing(const CallOptions& call) {
    return !call.task_timeout && !call.timeout && !call.retries && call.label.empty();
}

}  // namespace mp::pool
