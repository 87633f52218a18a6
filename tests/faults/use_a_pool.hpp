// A pool's life with everything that needs descriptors, processes or memory.
#pragma once

#include <multiprocessing/multiprocessing.hpp>

#include <cstddef>
#include <stdexcept>
#include <string>

namespace mp::test {

namespace of_a_used_pool {

inline int put(const Queue<int>& queue, int x) {
    queue.put(x);
    return x;
}
inline std::size_t length(const std::string& text) { return text.size(); }
inline std::string text_of(int x) { return std::to_string(x); }
inline long twice(long x) { return 2 * x; }

inline void require(bool right, const char* what) {
    if (!right) throw std::logic_error(std::string("a wrong result: ") + what);
}

}  // namespace of_a_used_pool

/// From a pool's start to its end: handles, large arguments, large and many results. Throws std::logic_error when a
/// result is wrong.
inline void use_a_pool(const PoolOptions& options) {
    using namespace of_a_used_pool;
    constexpr std::size_t large = 1 << 20;
    Pool pool(options);
    const Queue<int> queue;
    require(pool.submit(put, queue, 7).get() == 7 && queue.get() == 7, "a handle");
    require(pool.submit(length, std::string(large, 'x')).get() == large, "a large argument");
    require(pool.apply([](std::size_t size) { return std::string(size, 'y'); }, large).size() == large,
            "a large result");
    const auto doubled = pool.map(twice, range(300'000L));
    for (long i = 0; i < 300'000; i += 1000) require(doubled[static_cast<std::size_t>(i)] == 2 * i, "a map");
    const auto texts = pool.map(text_of, range(1000));
    for (int i = 0; i < 1000; ++i) require(texts[static_cast<std::size_t>(i)] == std::to_string(i), "a map of texts");
    pool.close();
    pool.join();
}

}  // namespace mp::test
