#include <multiprocessing/context.hpp>

#include <atomic>
#include <ostream>

namespace mp {

namespace {
std::atomic<StartMethod> default_method = StartMethod::forkserver;
}

std::string_view to_string(StartMethod method) {
    switch (method) {
        case StartMethod::forkserver: return "forkserver";
        case StartMethod::fork: return "fork";
        case StartMethod::spawn: return "spawn";
    }
    return "unknown";
}

std::ostream& operator<<(std::ostream& out, StartMethod method) { return out << to_string(method); }

StartMethod get_start_method() { return default_method.load(std::memory_order_relaxed); }
void set_start_method(StartMethod method) { default_method.store(method, std::memory_order_relaxed); }
std::vector<StartMethod> get_all_start_methods() {
    return {StartMethod::forkserver, StartMethod::fork, StartMethod::spawn};
}

}  // namespace mp
