// Fetching cache lines before they are needed.
#pragma once

namespace mp::transport {

/// Takes the line from whoever has it. The built-in of that name would, for processors in general, only fetch a copy, which
/// the write then waits to own. A processor without the instruction takes it for none.
inline void prefetch_for_writing(const void* place) {
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(place)));
#else
    __builtin_prefetch(place, 1);
#endif
}

}  // namespace mp::transport
