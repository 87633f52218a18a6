// A limit of this process, lowered for a while.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>

#include "os/unique_fd.hpp"

namespace mp::test {

class ResourceLimit {
  public:
    ResourceLimit(__rlimit_resource resource, rlim_t value) : resource_(resource) {
        ::getrlimit(resource, &before_);
        const rlimit lowered{value, before_.rlim_max};
        ::setrlimit(resource, &lowered);
    }
    ResourceLimit(const ResourceLimit&) = delete;
    ~ResourceLimit() { ::setrlimit(resource_, &before_); }

  private:
    __rlimit_resource resource_;
    rlimit before_{};
};

/// As RLIMIT_NOFILE: what is open stays, and nothing more can be opened, unless there are gaps.
inline int lowest_free_descriptor() {
    const os::UniqueFd next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return next.get();
}

}  // namespace mp::test
